// The launch of a kernel: refused where its shape cannot be, else queued; its blocks are then shared out over
// threads.

#include "emulation/launch.h"

#include "block.h"
#include "runtime.h"
#include "stream.h"

#include <algorithm>
#include <atomic>
#include <thread>

namespace emulation {
namespace {

bool launchable(const Launch& shape) {
  const auto within = [](const dim3& d, unsigned x, unsigned y, unsigned z) {
    return d.x > 0 && d.y > 0 && d.z > 0 && d.x <= x && d.y <= y && d.z <= z;
  };
  return within(shape.grid, 0x7fffffffU, 65535, 65535) && within(shape.block, kMaxThreads, kMaxThreads, 64) &&
         static_cast<std::uint64_t>(shape.block.x) * shape.block.y * shape.block.z <= kMaxThreads;
}

Block& own_block() {
  thread_local Block block;
  return block;
}

// Histories of memory are in the times of one block's clocks, whichever thread comes to run it; there is one such
// thread at a time. It is never destroyed: a thread may be at work when the program ends.
Block& checking_block() {
  static Block& block = *new Block;
  return block;
}

void run_grid(const Launch& shape) {
  const Settings how = settings();
  const std::uint64_t plane = static_cast<std::uint64_t>(shape.grid.x) * shape.grid.y,
                      blocks = plane * shape.grid.z;
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> broken{false};
  const auto work = [&] {
    Block& block = how.check ? checking_block() : own_block();
    block.begin_launch(how);
    for (std::uint64_t number = next++; number < blocks && !broken; number = next++) {
      const uint3 index{static_cast<unsigned>(number % shape.grid.x),
                        static_cast<unsigned>(number / shape.grid.x % shape.grid.y),
                        static_cast<unsigned>(number / plane)};
      if (!block.run(shape, index, how)) broken = true;
    }
  };
  const auto helpers =
      how.check ? 0 : std::min<std::uint64_t>(static_cast<std::uint64_t>(how.threads), blocks) - 1;
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < helpers; ++i) threads.emplace_back(work);
  work();
  for (std::thread& helper : threads) helper.join();
}

}  // namespace

void queue_launch(const Launch& shape, cudaStream_t handle) {
  const StreamLock lock;
  Stream* const stream = find_stream(handle);
  if (stream == nullptr) {
    failed(cudaErrorInvalidResourceHandle);
  } else if (!launchable(shape)) {
    failed(cudaErrorInvalidConfiguration);
  } else if (shape.shared_bytes > kMaxSharedBytes) {
    failed(cudaErrorInvalidValue);
  } else {
    enqueue(stream, {[shape] {
                       if (!faulty()) run_grid(shape);
                     },
                     {},
                     nullptr,
                     nullptr});
  }
}

}  // namespace emulation
