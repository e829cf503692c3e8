#include "nccl_exchange.h"

#include "emulation/settings.h"
#include "fault.h"
#include "memory.h"
#include "nccl_arithmetic.h"

#include <algorithm>
#include <cstring>

namespace emulation::nccl {
namespace {

using Kind = Shape::Kind;

// What a kernel of the library would come upon; empty where all is well.
std::string fault_at(const Region& region, int device) {
  if (region.bytes == 0) return "";
  const Allocation* const allocation = allocation_near(region.begin);
  const std::string bytes = std::to_string(region.bytes) + " bytes ";
  if (allocation == nullptr) return bytes + "of memory that is not the device's";
  const std::string place = bytes + "at byte " +
                            std::to_string(static_cast<unsigned char*>(region.begin) - allocation->begin) +
                            " of " + std::to_string(allocation->bytes) + " bytes of global memory";
  if (allocation->pinned) return place + ", which is the host's";
  if (!allocation->holds(region.begin, region.bytes))
    return place + (region.begin < allocation->begin ? ", before its beginning" : ", beyond its end");
  if (allocation->device != device)
    return place + " of device " + std::to_string(allocation->device) + ", in a communicator of device " +
           std::to_string(device);
  return "";
}

Bytes read(const void* address, std::size_t size) {
  Bytes bytes;
  if (size == 0) return bytes;
  const auto* const from = static_cast<const unsigned char*>(address);
  bytes.data.assign(from, from + size);
  const Allocation* const allocation = allocation_of(from);
  const std::uint8_t* const written = allocation->written.get() + (from - allocation->begin);
  if (std::memchr(written, 0, size) != nullptr) bytes.written.assign(written, written + size);
  return bytes;
}

void write(unsigned char* to, const Bytes& bytes) {
  if (bytes.data.empty()) return;
  std::memcpy(to, bytes.data.data(), bytes.data.size());
  if (bytes.written.empty()) {
    note_written(to, bytes.data.size());
  } else {
    const Allocation* const allocation = allocation_of(to);
    std::copy(bytes.written.begin(), bytes.written.end(),
              allocation->written.get() + (to - allocation->begin));
  }
}

// A call may read its input any time from when it begins until it ends. The one shows who writes the input
// too late, the other who writes the next one too early.
bool reads_at_once(std::uint64_t number) {
  switch (settings().streams) {
    case Settings::Time::late: return true;
    case Settings::Time::early: return false;
    case Settings::Time::random: break;
  }
  return (number + settings().seed) % 2 == 0;
}

bool reduces(const Call& call) {
  return call.shape.kind == Kind::all_reduce || call.shape.kind == Kind::reduce_scatter;
}

std::size_t bytes_of(const Call& call) {
  return call.shape.count * size_of(static_cast<ncclDataType_t>(call.shape.type));
}

}  // namespace

Region input_of(const Call& call, const Rank& at) {
  const std::size_t parts = call.shape.kind == Kind::reduce_scatter ? static_cast<std::size_t>(at.size()) : 1;
  const bool reads =
      call.send != nullptr && (call.shape.kind != Kind::broadcast || call.shape.root == at.rank);
  return {const_cast<void*>(call.send), reads ? parts * bytes_of(call) : 0};
}

Region output_of(const Call& call, const Rank& at) {
  const std::size_t parts = call.shape.kind == Kind::all_gather ? static_cast<std::size_t>(at.size()) : 1;
  return {call.receive, call.receive != nullptr ? parts * bytes_of(call) : 0};
}

Exchange::Exchange(Call call, Rank& at, std::uint64_t number)
    : call_(std::move(call)), at_(at), number_(number) {
  const std::size_t bytes = bytes_of(call_);
  if (call_.shape.kind == Kind::message) {
    own_side_ = call_.send != nullptr ? Side::sender : Side::receiver;
    const bool sends = own_side_ == Side::sender;
    parties_.push_back(
        {at_.links[static_cast<std::size_t>(call_.peer)].get(), call_.peer, 0, sends ? bytes : 0, !sends});
    return;
  }
  for (int rank = 0; rank < at_.size(); ++rank) {
    if (rank == at_.rank) continue;
    const std::size_t offset =
        call_.shape.kind == Kind::reduce_scatter ? static_cast<std::size_t>(rank) * bytes : 0;
    const bool broadcast = call_.shape.kind == Kind::broadcast;
    const bool gets = !broadcast || call_.shape.root == at_.rank,
               gives = !broadcast || call_.shape.root == rank;
    parties_.push_back(
        {at_.links[static_cast<std::size_t>(rank)].get(), rank, offset, gets ? bytes : 0, gives});
  }
}

Key Exchange::theirs() const {
  switch (own_side_) {
    case Side::everyone: return {Side::everyone, number_};
    case Side::sender: return {Side::receiver, number_};
    case Side::receiver: return {Side::sender, number_};
  }
  return {};
}

bool Exchange::asked() const {
  return std::any_of(parties_.begin(), parties_.end(),
                     [this](const Party& party) { return party.link->shape_from_peer(theirs()) != nullptr; });
}

bool Exchange::advance() {
  if (over_) return true;
  if (!begun_ && !begin()) return over_ = true;
  if (!all_have_come()) return false;
  if (!read_) read_inputs();
  if (!sent_) {
    for (std::size_t i = 0; i < parties_.size(); ++i) {
      const bool gets = own_side_ == Side::sender || outgoing_[i].data.size() > 0;
      if (gets) parties_[i].link->post(mine(), std::move(outgoing_[i]));
    }
    sent_ = true;
  }
  for (const Party& party : parties_) {
    party.link->move();
    if (party.gives && party.link->bytes_from_peer(theirs()) == nullptr) return false;
    if (!party.link->drained()) return false;
  }
  write_result();
  return over_ = true;
}

// False where it ends here, in a fault.
bool Exchange::begin() {
  begun_ = true;
  const auto fault = [&](const char* verb, const std::string& what) {
    if (!what.empty()) report_fault(call_.name + " of rank " + std::to_string(at_.rank) + verb + what);
    return !what.empty();
  };
  const Region input = input_of(call_, at_), output = output_of(call_, at_);
  if (fault(" reads ", fault_at(input, at_.device)) || fault(" writes ", fault_at(output, at_.device)))
    return false;
  for (const Party& party : parties_) party.link->post(mine(), call_.shape);
  if (reads_at_once(number_)) {
    read_inputs();
    spoil();
  }
  return true;
}

bool Exchange::all_have_come() const {
  return std::all_of(parties_.begin(), parties_.end(), [this](const Party& party) {
    const Shape* const shape = party.link->shape_from_peer(theirs());
    return shape != nullptr && *shape == call_.shape;
  });
}

void Exchange::read_inputs() {
  read_ = true;
  const auto* const input = static_cast<const unsigned char*>(call_.send);
  for (const Party& party : parties_)
    outgoing_.push_back(party.bytes > 0 ? read(input + party.offset, party.bytes) : Bytes{});
  const bool contributes = own_side_ == Side::everyone && input_of(call_, at_).bytes > 0;
  if (!contributes) return;
  const bool scatters = call_.shape.kind == Kind::reduce_scatter;
  own_ = read(input + (scatters ? static_cast<std::size_t>(at_.rank) * bytes_of(call_) : 0), bytes_of(call_));
}

void Exchange::spoil() {
  const Region output = output_of(call_, at_);
  if (output.bytes == 0 || !fault_at(output, at_.device).empty()) return;
  std::memset(output.begin, 0xff, output.bytes);
  const Allocation* const allocation = allocation_of(output.begin);
  std::memset(allocation->written.get() + (static_cast<unsigned char*>(output.begin) - allocation->begin), 0,
              output.bytes);
}

void Exchange::write_result() {
  std::vector<Bytes> parts(static_cast<std::size_t>(at_.size()));
  for (const Party& party : parties_)
    parts[static_cast<std::size_t>(party.rank)] = party.link->take(theirs());
  if (own_side_ == Side::everyone) parts[static_cast<std::size_t>(at_.rank)] = std::move(own_);
  auto* const output = static_cast<unsigned char*>(call_.receive);
  if (output == nullptr) return;
  if (reduces(call_)) {
    write(output, reduced(parts, static_cast<ncclDataType_t>(call_.shape.type),
                          static_cast<ncclRedOp_t>(call_.shape.op)));
    return;
  }
  const std::size_t stride = call_.shape.kind == Kind::all_gather ? bytes_of(call_) : 0;
  for (std::size_t rank = 0; rank < parts.size(); ++rank) write(output + rank * stride, parts[rank]);
}

}  // namespace emulation::nccl
