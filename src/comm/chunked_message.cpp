#include "chunked_message.h"

#include <algorithm>

namespace headwater::comm {

ChunkedMessage::ChunkedMessage(std::byte* data, std::size_t bytes, int peer, int channel, bool sends)
    : data_(data),
      bytes_(bytes),
      peer_(peer),
      channel_(channel),
      sends_(sends),
      chunks_((bytes + kChunkBytes - 1) / kChunkBytes) {}

ChunkedMessage ChunkedMessage::send(const void* data, std::size_t bytes, int peer, int channel) {
  return ChunkedMessage(static_cast<std::byte*>(const_cast<void*>(data)), bytes, peer, channel, true);
}

ChunkedMessage ChunkedMessage::receive(void* data, std::size_t bytes, int peer, int channel) {
  return ChunkedMessage(static_cast<std::byte*>(data), bytes, peer, channel, false);
}

bool ChunkedMessage::step(Transport& transport) {
  while (done_ < posted_ && transport.test(requests_[done_ % kWindow])) ++done_;
  for (; posted_ < chunks_ && posted_ - done_ < kWindow; ++posted_) {
    std::byte* chunk = data_ + posted_ * kChunkBytes;
    const std::size_t bytes = std::min(kChunkBytes, bytes_ - posted_ * kChunkBytes);
    requests_[posted_ % kWindow] = sends_ ? transport.send(chunk, bytes, peer_, channel_)
                                          : transport.receive(chunk, bytes, peer_, channel_);
  }
  return done_ == chunks_;
}

}  // namespace headwater::comm
