#include "transfer.h"

#include <algorithm>

namespace headwater::comm {

Transfer::Transfer(std::byte* data, std::size_t bytes, int peer, int channel, bool sends)
    : data_(data),
      bytes_(bytes),
      peer_(peer),
      channel_(channel),
      sends_(sends),
      pieces_((bytes + kPieceBytes - 1) / kPieceBytes) {}

Transfer Transfer::send(const void* data, std::size_t bytes, int peer, int channel) {
  return Transfer(static_cast<std::byte*>(const_cast<void*>(data)), bytes, peer, channel, true);
}

Transfer Transfer::receive(void* data, std::size_t bytes, int peer, int channel) {
  return Transfer(static_cast<std::byte*>(data), bytes, peer, channel, false);
}

bool Transfer::step(Transport& transport) {
  while (done_ < posted_ && transport.test(requests_[done_ % kWindow])) ++done_;
  for (; posted_ < pieces_ && posted_ - done_ < kWindow; ++posted_) {
    std::byte* piece = data_ + posted_ * kPieceBytes;
    const std::size_t bytes = std::min(kPieceBytes, bytes_ - posted_ * kPieceBytes);
    requests_[posted_ % kWindow] = sends_ ? transport.send(piece, bytes, peer_, channel_)
                                          : transport.receive(piece, bytes, peer_, channel_);
  }
  return done_ == pieces_;
}

}  // namespace headwater::comm
