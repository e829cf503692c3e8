#pragma once
// One contiguous buffer on its way to or from one peer, in pieces, a few of them under way at a time:
// completions then show the engine that data moves, and no message outgrows MPI's int. Both ends cut the same
// total alike. At most one transfer per peer, channel and direction may be active.

#include "transport.h"

#include <array>

namespace headwater::comm {

inline constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
inline constexpr std::size_t kWindow = 4;  // pieces under way

class Transfer {
 public:
  static Transfer send(const void* data, std::size_t bytes, int peer, int channel);
  static Transfer receive(void* data, std::size_t bytes, int peer, int channel);

  // Posts what may be posted; true once all has arrived or left.
  bool step(Transport& transport);

 private:
  Transfer(std::byte* data, std::size_t bytes, int peer, int channel, bool sends);

  std::byte* data_;
  std::size_t bytes_;
  int peer_, channel_;
  bool sends_;
  std::size_t posted_ = 0, done_ = 0, pieces_;
  std::array<Transport::Request, kWindow> requests_{};
};

}  // namespace headwater::comm
