#include "steps.h"

#include "reduce_parts.h"

#include <algorithm>
#include <cstring>

namespace headwater::comm {
namespace {

std::byte* bytes_of(TensorView view) { return static_cast<std::byte*>(view.data); }

// Copies on this rank, and transfers that need no order among themselves.
class Exchange final : public Step {
 public:
  void copy(void* to, const void* from, std::size_t bytes) {
    if (to != from && bytes > 0) copies_.push_back({to, from, bytes});
  }
  void receive(void* data, std::size_t bytes, int peer, int channel) {
    transfers_.push_back(Transfer::receive(data, bytes, peer, channel));
  }
  void send(const void* data, std::size_t bytes, int peer, int channel) {
    transfers_.push_back(Transfer::send(data, bytes, peer, channel));
  }

  bool run(Transport& transport) override {
    for (const Copy& copy : copies_) std::memcpy(copy.to, copy.from, copy.bytes);
    copies_.clear();
    bool ended = true;
    for (Transfer& transfer : transfers_) ended = transfer.step(transport) && ended;
    return ended;
  }

 private:
  struct Copy {
    void* to;
    const void* from;
    std::size_t bytes;
  };
  std::vector<Copy> copies_;
  std::vector<Transfer> transfers_;
};

struct Range {
  std::size_t begin, size;
};

// Part `index` of `total` things cut for `parts` ranks; whole cache lines of them, so the last parts may be
// empty.
Range part(std::size_t total, int parts, int index) {
  constexpr std::size_t kLine = 64;
  const auto count = static_cast<std::size_t>(parts);
  const std::size_t each = ((total + count - 1) / count + kLine - 1) / kLine * kLine;
  const std::size_t begin = std::min(total, each * static_cast<std::size_t>(index));
  return {begin, std::min(each, total - begin)};
}

template <class S>
Steps steps_of(std::unique_ptr<S> only) {
  Steps steps;
  steps.push_back(std::move(only));
  return steps;
}

// Every member but `except` gets everybody's part of `data` (cut in elements of `unit` bytes).
std::unique_ptr<Exchange> gather_parts(const Members& group, std::byte* data, std::size_t elements,
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

// Part i is summed by rank i, then given to all: each rank sends and receives 2(n-1)/n of the data.
Steps all_reduce_steps(const std::shared_ptr<Members>& group, TensorView data, ReduceOp op) {
  const std::size_t unit = size_of(data.dtype);
  const auto elements = static_cast<std::size_t>(data.elements());
  std::byte* memory = bytes_of(data);
  const Range mine = part(elements, group->size(), group->index);
  std::vector<Transfer> sends;
  for (int peer = 0; peer < group->size(); ++peer) {
    if (peer == group->index) continue;
    const Range theirs = part(elements, group->size(), peer);
    sends.push_back(Transfer::send(memory + theirs.begin * unit, theirs.size * unit, group->world_rank(peer),
                                   group->collective_channel(peer)));
  }
  std::byte* part_of_mine = memory + mine.begin * unit;
  Steps steps = steps_of(std::make_unique<ReduceParts>(group, op, data.dtype, part_of_mine, part_of_mine,
                                                       mine.size, std::move(sends)));
  steps.push_back(gather_parts(*group, memory, elements, unit));
  return steps;
}

Steps reduce_scatter_steps(const std::shared_ptr<Members>& group, TensorView in, TensorView out) {
  const std::size_t bytes = out.bytes();
  std::vector<Transfer> sends;
  for (int peer = 0; peer < group->size(); ++peer)
    if (peer != group->index)
      sends.push_back(Transfer::send(bytes_of(in) + static_cast<std::size_t>(peer) * bytes, bytes,
                                     group->world_rank(peer), group->collective_channel(peer)));
  return steps_of(std::make_unique<ReduceParts>(
      group, ReduceOp::sum, in.dtype, bytes_of(in) + static_cast<std::size_t>(group->index) * bytes,
      bytes_of(out), static_cast<std::size_t>(out.elements()), std::move(sends)));
}

Steps all_gather_steps(const Members& group, TensorView in, TensorView out) {
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

// Small: from the root to each. Large: the root deals out the parts, and everybody gives its own to all, so
// that the root sends the data twice however many ranks there are.
Steps broadcast_steps(const Members& group, TensorView data, int root) {
  const std::size_t total = data.bytes();
  std::byte* memory = bytes_of(data);
  const bool dealt = total > kPieceBytes;
  auto exchange = std::make_unique<Exchange>();
  if (group.index == root) {
    for (int peer = 0; peer < group.size(); ++peer) {
      const Range theirs = dealt ? part(total, group.size(), peer) : Range{0, total};
      if (peer != root)
        exchange->send(memory + theirs.begin, theirs.size, group.world_rank(peer),
                       group.collective_channel(peer));
    }
  } else {
    const Range mine = dealt ? part(total, group.size(), group.index) : Range{0, total};
    exchange->receive(memory + mine.begin, mine.size, group.world_rank(root), group.collective_channel(root));
  }
  Steps steps = steps_of(std::move(exchange));
  if (dealt) steps.push_back(gather_parts(group, memory, total, 1, root));
  return steps;
}

Steps all_to_all_steps(const Members& group, TensorView in, TensorView out) {
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

Steps send_steps(const Members& group, TensorView data, int peer) {
  auto exchange = std::make_unique<Exchange>();
  exchange->send(data.data, data.bytes(), group.world_rank(peer), group.message_channel(peer));
  return steps_of(std::move(exchange));
}

Steps receive_steps(const Members& group, TensorView data, int peer) {
  auto exchange = std::make_unique<Exchange>();
  exchange->receive(data.data, data.bytes(), group.world_rank(peer), group.message_channel(peer));
  return steps_of(std::move(exchange));
}

}  // namespace headwater::comm
