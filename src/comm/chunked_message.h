#pragma once
// One contiguous buffer on its way to or from one peer, as a series of chunks of which a few are under way at
// a time.
//
// Chunks that arrive show the progress engine that data moves, and keep every message of the transport below
// MPI's int. Sender and receiver cut the same number of bytes into the same chunks. For each peer, channel
// and direction at most one such message may be active.

#include "transport.h"

#include <array>

namespace headwater::comm {

inline constexpr std::size_t kChunkBytes = std::size_t{256} << 10;
inline constexpr std::size_t kWindow = 4;  // chunks under way at a time

class ChunkedMessage {
 public:
  // The buffer must stay untouched until step() has returned true.
  static ChunkedMessage send(const void* data, std::size_t bytes, int peer, int channel);
  static ChunkedMessage receive(void* data, std::size_t bytes, int peer, int channel);

  // Posts the chunks that the window has room for; true once all have arrived or left.
  bool step(Transport& transport);

 private:
  ChunkedMessage(std::byte* data, std::size_t bytes, int peer, int channel, bool sends);

  std::byte* data_;
  std::size_t bytes_;
  int peer_, channel_;
  bool sends_;
  std::size_t posted_ = 0, done_ = 0, chunks_;
  std::array<Transport::Request, kWindow> requests_{};  // of chunk i at i % kWindow
};

}  // namespace headwater::comm
