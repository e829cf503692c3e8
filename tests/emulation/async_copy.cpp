// cp.async. A copy lands when its group is waited for ("late"), at once ("early"), or either by chance; until
// then its target holds NaN. What lands late is read late too, as on the GPU, which may read the source at
// any time before.

#include "access_check.h"

#include <cstring>

namespace emulation {
namespace {

void land(const AsyncCopy& copy) {
  std::memcpy(copy.shared, copy.global, static_cast<std::size_t>(copy.source_bytes));
  std::memset(copy.shared + copy.source_bytes, 0, static_cast<std::size_t>(copy.bytes - copy.source_bytes));
}

}  // namespace

void copy_async(void* shared, const void* global, int bytes, int source_bytes) {
  Block& block = *Block::current();
  Lane& lane = block.lane();
  lane.place = __builtin_return_address(0);
  const auto misaligned = [bytes](const void* address) {
    return reinterpret_cast<std::uintptr_t>(address) % static_cast<unsigned>(bytes) != 0;
  };
  if (misaligned(shared) || (source_bytes > 0 && misaligned(global))) {
    block.fault("starts an asynchronous copy of " + std::to_string(bytes) +
                " bytes whose addresses are no multiples of that");
  }
  if (source_bytes < 0 || source_bytes > bytes) {
    block.fault("starts an asynchronous copy of " + std::to_string(source_bytes) + " of " +
                std::to_string(bytes) + " bytes");
  }
  AsyncCopy copy{static_cast<unsigned char*>(shared),
                 static_cast<const unsigned char*>(global),
                 bytes,
                 source_bytes,
                 lane.open_group,
                 false};
  if (copy.shared < block.shared() || copy.shared + bytes > block.shared() + block.shared_bytes()) {
    block.fault("starts an asynchronous copy to outside of the block's shared memory");
  }
  note_copy_begins(block, copy);
  const auto time = block.settings().copies;
  if (time == Settings::Time::early || (time == Settings::Time::random && (block.random()() & 1U) != 0)) {
    land(copy);
    copy.landed = true;
  } else {
    std::memset(shared, 0xff, static_cast<std::size_t>(bytes));
  }
  lane.copies.push_back(copy);
}

void commit_copies() { ++Block::current()->lane().open_group; }

void wait_for_copies(int groups_left) {
  Block& block = *Block::current();
  Lane& lane = block.lane();
  lane.place = __builtin_return_address(0);
  // Committed are the groups below open_group; of those all but the newest groups_left have landed now.
  std::size_t waited = 0;
  for (; waited < lane.copies.size(); ++waited) {
    const AsyncCopy& copy = lane.copies[waited];
    if (copy.group + static_cast<std::uint64_t>(groups_left) >= lane.open_group) break;
    note_copy_lands(block, copy);
    if (!copy.landed) land(copy);
  }
  lane.copies.erase(lane.copies.begin(), lane.copies.begin() + static_cast<std::ptrdiff_t>(waited));
}

}  // namespace emulation
