#pragma once
// A block of threads, executed on one thread of the CPU: each lane is a fiber that runs until it waits for
// others. Who is woken goes to the end of the ready queue; with nobody ready and somebody waiting the block
// is dead, and the report says who waits where. A fault ends the block at once: its fibers are dropped where
// they stand.

#include "access_history.h"
#include "emulation/device.h"
#include "emulation/launch.h"
#include "emulation/settings.h"
#include "fault.h"
#include "fiber.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace emulation {

inline constexpr std::size_t kStackBytes = 128 * 1024;
inline constexpr unsigned kMaxThreads = 1024;
inline constexpr std::size_t kMaxSharedBytes = 163 * 1024;  // of a block on sm_80
inline constexpr std::size_t kUnaskedSharedBytes =
    48 * 1024;  // of a block whose kernel has not been granted more
// With room for what the checks put between arrays.
inline constexpr std::size_t kSharedMapped = kMaxSharedBytes + 64 * 1024;
inline constexpr unsigned kBarriers = 16;

struct Allocation;

struct AsyncCopy {
  unsigned char* shared;
  const unsigned char* global;
  int bytes, source_bytes;
  std::uint64_t group;
  bool landed;
};

struct Lane {
  Fiber fiber;
  uint3 index;               // threadIdx
  std::uint16_t number = 0;  // in the block
  bool finished = false;
  const char* waits_for = nullptr;  // while it is not ready
  const void* place = nullptr;      // in the code, where it last called on the emulation
  std::vector<AsyncCopy> copies;    // not waited for, oldest first
  std::uint64_t open_group = 0;     // copies that are made now belong to it; those before are committed
};

struct WarpOperation {
  const char* name = nullptr;
  std::uint32_t mask = 0, arrived = 0;  // mask 0: a free entry
  void* operands[32] = {};
};

struct Barrier {
  unsigned expected = 0, arrived = 0;  // expected 0: nobody is here
  const char* file = nullptr;
  int line = 0;
  std::vector<std::uint16_t> waiting;
  Clocks::Times times{};
};

class Block {
 public:
  Block();
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // Runs one block of the launch; false where it ended in a fault.
  bool run(const Launch& launch, uint3 index, const Settings& settings);
  void begin_launch(const Settings& settings);

  // Of the thread of the CPU that asks; null outside of kernels.
  static Block* current() { return current_; }

  Lane& lane() { return *running_; }
  unsigned threads() const { return thread_count_; }
  Lane& lane(unsigned number) { return lanes_[number]; }
  std::array<WarpOperation, 4>& warp(unsigned number) { return warps_[number]; }
  std::uint32_t lanes_of_warp(unsigned number) const;  // that exist
  Barrier& barrier(unsigned id) { return barriers_[id]; }
  const Settings& settings() const { return *settings_; }
  std::mt19937_64& random() { return random_; }

  void wait(const char* for_what);  // until somebody wakes this lane
  void wake(Lane& lane);
  [[noreturn]] void fault(const std::string& text);  // of the running lane

  void* static_shared(const void* site, std::size_t bytes, std::size_t alignment);
  unsigned char* dynamic_shared(std::size_t most);
  unsigned char* shared() { return shared_; }
  std::size_t shared_bytes() const { return shared_used_; }
  std::size_t array_bytes() const {  // of the arrays that the block has come to so far
    std::size_t bytes = 0;
    for (const SharedArray& array : shared_arrays_) bytes += array.bytes;
    return bytes;
  }

  // What is known of each byte of shared memory, where accesses are checked.
  struct SharedShadow {
    enum State : std::uint8_t { kOutside, kUnwritten, kWritten };
    std::vector<std::uint8_t> state = std::vector<std::uint8_t>(kSharedMapped);
    std::vector<std::uint16_t> copying =
        std::vector<std::uint16_t>(kSharedMapped);  // 1 + the thread whose copy is under way
    AccessHistory history{kSharedMapped};
  };
  SharedShadow& shadow() { return *shadow_; }
  Clocks& clocks() { return clocks_; }
  Allocation*& last_allocation() { return last_allocation_; }  // that an access was found in
  bool is_argument(const void* address) const;
  // The stack of the running lane.
  bool on_stack(const void* address) const {
    const auto* const stack = stack_of(running_->number);
    return address >= stack && address < stack + kStackBytes;
  }
  bool checks() const { return settings_->check; }

 private:
  struct SharedArray {
    const void* site;
    std::size_t offset, bytes;
  };

  static void lane_main(void* block);
  std::size_t place_shared(std::size_t bytes, std::size_t alignment);
  void go_on();  // in the next lane that is ready, or in run()
  Lane* next_ready();
  void finish_lane();
  std::string deadlock() const;
  unsigned char* stack_of(unsigned number) const { return stack_memory_ + number * kStackBytes; }

  static constinit thread_local Block* current_;
  const Settings* settings_ = nullptr;
  const Launch* launch_ = nullptr;
  uint3 block_index_{};
  unsigned thread_count_ = 0, finished_ = 0;
  std::size_t stacks_ = 0;  // begun so far, with their guard pages
  unsigned char* stack_memory_ = nullptr;
  std::vector<Lane> lanes_;
  std::vector<std::array<WarpOperation, 4>> warps_;
  std::array<Barrier, kBarriers> barriers_;
  std::vector<Lane*> ready_;  // a ring of kMaxThreads
  unsigned ready_head_ = 0, ready_count_ = 0;
  Fiber outside_;
  Lane* running_ = nullptr;
  bool faulted_ = false;
  std::mt19937_64 random_;

  unsigned char* shared_ = nullptr;
  std::size_t shared_used_ = 0;
  std::vector<SharedArray> shared_arrays_;
  std::unique_ptr<SharedShadow> shadow_;  // made when first asked for
  Clocks clocks_;
  Allocation* last_allocation_ = nullptr;
};

}  // namespace emulation
