#include "headwater/train/log/tensorboard.h"

#include "headwater/base/error.h"

#include <limits.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <type_traits>

namespace headwater {
namespace {

static_assert(std::endian::native == std::endian::little,
              "records and protobuf's fixed fields are little-endian");

constexpr std::array<std::uint32_t, 256> make_crc32c_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit)
      remainder = (remainder >> 1) ^ ((remainder & 1U) != 0 ? 0x82F63B78U : 0U);  // Castagnoli's, reflected
    table[byte] = remainder;
  }
  return table;
}

// Records mask their checksums, so that the checksum of bytes that hold a checksum is as good as any.
std::uint32_t masked_crc32c(std::string_view bytes) {
  const std::uint32_t crc = crc32c(std::as_bytes(std::span(bytes)));
  return std::rotr(crc, 15) + 0xA282EAD8U;
}

template <class T>
void append_fixed(std::string& out, T value) {
  static_assert(std::is_arithmetic_v<T>);
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

// The part of protobuf's encoding that an event needs: a field is its number and wire type, then its value.
void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void add_integer(std::string& message, std::uint32_t field, std::int64_t value) {
  append_varint(message, field << 3);
  append_varint(message, static_cast<std::uint64_t>(value));
}

void add_double(std::string& message, std::uint32_t field, double value) {
  append_varint(message, field << 3 | 1U);
  append_fixed(message, value);
}

void add_bytes(std::string& message, std::uint32_t field, std::string_view bytes) {
  append_varint(message, field << 3 | 2U);
  append_varint(message, bytes.size());
  message += bytes;
}

void add_float(std::string& message, std::uint32_t field, float value) {
  append_varint(message, field << 3 | 5U);
  append_fixed(message, value);
}

// Field numbers of the messages of TensorFlow's event.proto and summary.proto.
constexpr std::uint32_t kEventWallTime = 1, kEventStep = 2, kEventFileVersion = 3, kEventSummary = 5,
                        kEventSessionLog = 7;
constexpr std::uint32_t kSummaryValue = 1, kValueTag = 1, kValueSimple = 2;
constexpr std::uint32_t kSessionLogStatus = 1;
constexpr std::int64_t kSessionStart = 1;

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string event_at(std::int64_t step) {
  std::string event;
  add_double(event, kEventWallTime, seconds_since_1970());
  add_integer(event, kEventStep, step);
  return event;
}

Path new_event_file(const Path& folder) {
  make_folders(folder);
  char host[HOST_NAME_MAX + 1] = {};
  if (::gethostname(host, sizeof host - 1) != 0) throw_errno(errno, "ask for", "the host's name");
  return folder / fmt::format("events.out.tfevents.{:010.0f}.{}.{}", seconds_since_1970(), host, ::getpid());
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = make_crc32c_table();
  std::uint32_t remainder = 0xFFFFFFFFU;
  for (const std::byte byte : bytes)
    remainder = (remainder >> 8) ^ kTable[(remainder ^ std::to_integer<std::uint32_t>(byte)) & 0xFFU];
  return ~remainder;
}

TensorBoardWriter::TensorBoardWriter(const Path& folder, std::int64_t next_step)
    : out_(OutputFile::create(new_event_file(folder))) {
  std::string version;
  add_double(version, kEventWallTime, seconds_since_1970());
  add_bytes(version, kEventFileVersion, "brain.Event:2");
  write_record(version);

  std::string session, start = event_at(next_step);
  add_integer(session, kSessionLogStatus, kSessionStart);
  add_bytes(start, kEventSessionLog, session);
  write_record(start);
  flush();
}

void TensorBoardWriter::add(const StepMetrics& step) {
  add(step.step, {{"loss", step.loss},
                  {"grad_norm", step.grad_norm},
                  {"lr", step.lr},
                  {"elapsed_ms", step.elapsed_ms},
                  {"tokens_per_second", step.tokens_per_second},
                  {"skipped", static_cast<double>(step.skipped)}});
  if (step.mfu) add(step.step, {{"mfu", *step.mfu}});
}

void TensorBoardWriter::add(const EvaluationMetrics& evaluation) {
  add(evaluation.step, {{"validation_loss", evaluation.validation_loss},
                        {"validation_perplexity", evaluation.validation_perplexity()}});
}

void TensorBoardWriter::add(std::int64_t step, std::initializer_list<Scalar> scalars) {
  std::string summary, event = event_at(step);
  for (const auto& [tag, scalar] : scalars) {
    std::string value;
    add_bytes(value, kValueTag, tag);
    add_float(value, kValueSimple, static_cast<float>(scalar));
    add_bytes(summary, kSummaryValue, value);
  }
  add_bytes(event, kEventSummary, summary);
  write_record(event);
}

// A record: length, its checksum, the event, its checksum.
void TensorBoardWriter::write_record(std::string_view event) {
  std::string record;
  append_fixed(record, static_cast<std::uint64_t>(event.size()));
  append_fixed(record, masked_crc32c(record));
  record += event;
  append_fixed(record, masked_crc32c(event));
  out_.write(record);
}

void TensorBoardWriter::flush() { out_.flush(); }

}  // namespace headwater
