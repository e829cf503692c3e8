#include "reduce_parts.h"

#include "combine.h"

#include <algorithm>

namespace headwater::comm {

ReduceParts::ReduceParts(std::shared_ptr<Group> group, ReduceOp op, DType dtype, const void* own,
                         void* result, std::size_t elements, std::vector<ChunkedMessage> sends)
    : group_(std::move(group)),
      op_(op),
      dtype_(dtype),
      own_(static_cast<const std::byte*>(own)),
      result_(static_cast<std::byte*>(result)),
      bytes_(elements * size_of(dtype)),
      chunk_bytes_(std::min(bytes_, kChunkBytes)),
      rounds_((bytes_ + kChunkBytes - 1) / kChunkBytes),
      sends_(std::move(sends)),
      requests_(kWindow * sends_.size()) {}

bool ReduceParts::run(Transport& transport) {
  reserve_scratch();
  while (posted_ < rounds_ && posted_ - done_ < kWindow) post_round(transport);
  bool ended = true;
  for (ChunkedMessage& send : sends_) ended = send.step(transport) && ended;
  while (done_ < posted_ && round_has_arrived(transport)) {
    combine_round();
    if (posted_ < rounds_) post_round(transport);
  }
  return ended && done_ == rounds_;
}

// The group's collectives run one at a time and share the scratch, which never shrinks. So it may only grow
// when this one runs, and not already when the call is made.
void ReduceParts::reserve_scratch() {
  const std::size_t needed = std::min(rounds_, kWindow) * sends_.size() * chunk_bytes_;
  if (group_->scratch.size() >= needed) return;
  group_->scratch.resize(needed);
  group_->scratch_bytes = static_cast<std::int64_t>(needed);
}

std::byte* ReduceParts::slot(std::size_t round, std::size_t other) {
  return group_->scratch.data() + ((round % kWindow) * sends_.size() + other) * chunk_bytes_;
}

std::size_t ReduceParts::bytes_in(std::size_t round) const {
  return std::min(chunk_bytes_, bytes_ - round * chunk_bytes_);
}

void ReduceParts::post_round(Transport& transport) {
  std::size_t other = 0;
  for (int peer = 0; peer < group_->size(); ++peer) {
    if (peer == group_->index) continue;
    requests_[(posted_ % kWindow) * sends_.size() + other] = transport.receive(
        slot(posted_, other), bytes_in(posted_), group_->world_rank(peer), group_->collective_channel(peer));
    ++other;
  }
  ++posted_;
}

bool ReduceParts::round_has_arrived(Transport& transport) {
  while (arrived_ < sends_.size() && transport.test(requests_[(done_ % kWindow) * sends_.size() + arrived_]))
    ++arrived_;
  return arrived_ == sends_.size();
}

void ReduceParts::combine_round() {
  std::vector<const void*> parts;
  std::size_t other = 0;
  for (int member = 0; member < group_->size(); ++member)
    parts.push_back(member == group_->index ? own_ + done_ * chunk_bytes_ : slot(done_, other++));
  combine(op_, dtype_, result_ + done_ * chunk_bytes_, parts, bytes_in(done_) / size_of(dtype_));
  arrived_ = 0;
  ++done_;
}

}  // namespace headwater::comm
