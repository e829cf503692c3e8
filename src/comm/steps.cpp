#include "steps.h"

#include "reduce_parts.h"

#include <algorithm>
#include <cstring>

namespace headwater::comm {
namespace {

std::byte* bytes_of(TensorView view) { return static_cast<std::byte*>(view.data); }

// Copies within this rank, and messages that may go in any order.
class Exchange final : public Step {
 public:
  void copy(void* to, const void* from, std::size_t bytes) {
    if (to != from && bytes > 0) copies_.push_back({to, from, bytes});
  }
  void receive(void* data, std::size_t bytes, int peer, int channel) {
    messages_.push_back(ChunkedMessage::receive(data, bytes, peer, channel));
  }
  void send(const void* data, std::size_t bytes, int peer, int channel) {
    messages_.push_back(ChunkedMessage::send(data, bytes, peer, channel));
  }

  bool run(Transport& transport) override {
    for (const Copy& copy : copies_) std::memcpy(copy.to, copy.from, copy.bytes);
    copies_.clear();
    bool ended = true;
    for (ChunkedMessage& message : messages_) ended = message.step(transport) && ended;
    return ended;
  }

 private:
  struct Copy {
    void* to;
    const void* from;
    std::size_t bytes;
  };
  std::vector<Copy> copies_;
  std::vector<ChunkedMessage> messages_;
};

struct Range {
  std::size_t begin, size;
};

// Returns part `index` of `total` elements that are cut for `parts` ranks. Each part is a multiple of 64
// elements, which is a whole number of cache lines; the last parts may be smaller or empty.
Range part(std::size_t total, int parts, int index) {
  constexpr std::size_t kLine = 64;
  const auto count = static_cast<std::size_t>(parts);
  const std::size_t each = ((total + count - 1) / count + kLine - 1) / kLine * kLine;
  const std::size_t begin = std::min(total, each * static_cast<std::size_t>(index));
  return {begin, std::min(each, total - begin)};
}

Steps steps_of(std::unique_ptr<Step> only) {
  Steps steps;
  steps.push_back(std::move(only));
  return steps;
}

// Makes the step in which each member sends its own part of `data` to all others. Before it each member has
// its own part, after it all parts. `data` has `elements` elements of `unit` bytes each. Member `except` gets
// nothing, as it has all parts already; −1 stands for no member.
std::unique_ptr<Exchange> gather_parts(const Membership& group, std::byte* data, std::size_t elements,
                                       std::size_t unit, int except = -1) {
  auto exchange = std::make_unique<Exchange>();
  const Range mine = part(elements, group.size(), group.index);
  for (int peer = 0; peer < group.size(); ++peer) {
    if (peer == group.index || group.index == except) continue;
    const Range theirs = part(elements, group.size(), peer);
    exchange->receive(data + theirs.begin * unit, theirs.size * unit, group.world_rank(peer),
                      group.collective_channel(peer));
  }
  for (int peer = 0; peer < group.size(); ++peer) {
    if (peer == group.index || peer == except) continue;
    exchange->send(data + mine.begin * unit, mine.size * unit, group.world_rank(peer),
                   group.collective_channel(peer));
  }
  return exchange;
}

}  // namespace

// Member i combines part i, then gives it to all: each of n ranks sends and receives 2(n − 1)/n of the data.
Steps all_reduce_steps(const std::shared_ptr<Group>& group, TensorView data, ReduceOp op) {
  const std::size_t unit = size_of(data.dtype);
  const auto elements = static_cast<std::size_t>(data.elements());
  std::byte* memory = bytes_of(data);
  const Range mine = part(elements, group->size(), group->index);
  std::vector<ChunkedMessage> sends;
  for (int peer = 0; peer < group->size(); ++peer) {
    if (peer == group->index) continue;
    const Range theirs = part(elements, group->size(), peer);
    sends.push_back(ChunkedMessage::send(memory + theirs.begin * unit, theirs.size * unit,
                                         group->world_rank(peer), group->collective_channel(peer)));
  }
  std::byte* part_of_mine = memory + mine.begin * unit;
  Steps steps = steps_of(std::make_unique<ReduceParts>(group, op, data.dtype, part_of_mine, part_of_mine,
                                                       mine.size, std::move(sends)));
  steps.push_back(gather_parts(*group, memory, elements, unit));
  return steps;
}

Steps reduce_scatter_steps(const std::shared_ptr<Group>& group, TensorView in, TensorView out) {
  const std::size_t bytes = out.bytes();
  std::vector<ChunkedMessage> sends;
  for (int peer = 0; peer < group->size(); ++peer)
    if (peer != group->index)
      sends.push_back(ChunkedMessage::send(bytes_of(in) + static_cast<std::size_t>(peer) * bytes, bytes,
                                           group->world_rank(peer), group->collective_channel(peer)));
  return steps_of(std::make_unique<ReduceParts>(
      group, ReduceOp::sum, in.dtype, bytes_of(in) + static_cast<std::size_t>(group->index) * bytes,
      bytes_of(out), static_cast<std::size_t>(out.elements()), std::move(sends)));
}

Steps all_gather_steps(const Membership& group, TensorView in, TensorView out) {
  const std::size_t bytes = in.bytes();
  auto exchange = std::make_unique<Exchange>();
  exchange->copy(bytes_of(out) + static_cast<std::size_t>(group.index) * bytes, in.data, bytes);
  for (int peer = 0; peer < group.size(); ++peer)
    if (peer != group.index)
      exchange->receive(bytes_of(out) + static_cast<std::size_t>(peer) * bytes, bytes, group.world_rank(peer),
                        group.collective_channel(peer));
  for (int peer = 0; peer < group.size(); ++peer)
    if (peer != group.index)
      exchange->send(in.data, bytes, group.world_rank(peer), group.collective_channel(peer));
  return steps_of(std::move(exchange));
}

// The root sends data of at most one chunk to each member. Larger data it scatters: each member gets one part
// and then gives it to all others, so that the root sends the data at most twice, however many members there
// are.
Steps broadcast_steps(const Membership& group, TensorView data, int root) {
  const std::size_t total = data.bytes();
  std::byte* memory = bytes_of(data);
  const bool scattered = total > kChunkBytes;
  auto exchange = std::make_unique<Exchange>();
  if (group.index == root) {
    for (int peer = 0; peer < group.size(); ++peer) {
      const Range theirs = scattered ? part(total, group.size(), peer) : Range{0, total};
      if (peer != root)
        exchange->send(memory + theirs.begin, theirs.size, group.world_rank(peer),
                       group.collective_channel(peer));
    }
  } else {
    const Range mine = scattered ? part(total, group.size(), group.index) : Range{0, total};
    exchange->receive(memory + mine.begin, mine.size, group.world_rank(root), group.collective_channel(root));
  }
  Steps steps = steps_of(std::move(exchange));
  if (scattered) steps.push_back(gather_parts(group, memory, total, 1, root));
  return steps;
}

Steps all_to_all_steps(const Membership& group, TensorView in, TensorView out) {
  const std::size_t bytes = in.bytes() / static_cast<std::size_t>(group.size());
  const auto at = [bytes](TensorView view, int member) {
    return bytes_of(view) + static_cast<std::size_t>(member) * bytes;
  };
  auto exchange = std::make_unique<Exchange>();
  exchange->copy(at(out, group.index), at(in, group.index), bytes);
  for (int peer = 0; peer < group.size(); ++peer)
    if (peer != group.index)
      exchange->receive(at(out, peer), bytes, group.world_rank(peer), group.collective_channel(peer));
  for (int peer = 0; peer < group.size(); ++peer)
    if (peer != group.index)
      exchange->send(at(in, peer), bytes, group.world_rank(peer), group.collective_channel(peer));
  return steps_of(std::move(exchange));
}

Steps send_steps(const Membership& group, TensorView data, int peer) {
  auto exchange = std::make_unique<Exchange>();
  exchange->send(data.data, data.bytes(), group.world_rank(peer), group.message_channel(peer));
  return steps_of(std::move(exchange));
}

Steps receive_steps(const Membership& group, TensorView data, int peer) {
  auto exchange = std::make_unique<Exchange>();
  exchange->receive(data.data, data.bytes(), group.world_rank(peer), group.message_channel(peer));
  return steps_of(std::move(exchange));
}

}  // namespace headwater::comm
