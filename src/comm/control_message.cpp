#include "control_message.h"

#include "headwater/base/bytes.h"

#include <algorithm>
#include <cstring>

namespace headwater::comm {
namespace {

// Every rank runs the same program, so fields travel as they are stored in memory.
template <class T>
void put(std::vector<std::byte>& out, const T& value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof value);
}

template <class T>
void get(std::span<const std::byte>& in, T& value) {
  HW_CHECK(in.size() >= sizeof value, "a control message is cut short");
  std::memcpy(&value, in.data(), sizeof value);
  in = in.subspan(sizeof value);
}

// A message with this text is short enough for MPI to send it before the receiver asks for it.
constexpr std::size_t kLongestText = 3000;

template <class Message, class Visit>
void each_field(Message& message, Visit visit) {
  visit(message.subject);
  visit(message.kind);
  visit(message.channel);
  visit(message.sequence);
  visit(message.question);
  visit(message.came);
  visit(message.waits);
  visit(message.exit_code);
}

}  // namespace

std::vector<std::byte> encode(const ControlMessage& message) {
  std::vector<std::byte> out;
  each_field(message, [&out](const auto& field) { put(out, field); });
  const auto text = std::as_bytes(std::span(message.text).first(std::min(message.text.size(), kLongestText)));
  out.insert(out.end(), text.begin(), text.end());
  return out;
}

ControlMessage decode(std::span<const std::byte> bytes) {
  ControlMessage message;
  each_field(message, [&bytes](auto& field) { get(bytes, field); });
  message.text = as_text(bytes);
  return message;
}

}  // namespace headwater::comm
