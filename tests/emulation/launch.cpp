// The launch of a kernel: refused where its shape cannot be, else queued; its blocks are then shared out over
// threads. And what a kernel is granted: as the driver has it, for each kernel on each device.
//
// Where the environment variable HEADWATER_EMULATION_LAUNCHES names a file, it gets a line for each kernel
// that was launched, when the program ends: the most threads of a block, bytes of SHARED_ARRAY and bytes of
// SHARED_BLOCK.

#include "emulation/launch.h"

#include "block.h"
#include "runtime.h"
#include "stream.h"
#include "symbol.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

namespace emulation {
namespace {

// The bytes of dynamic shared memory that cudaFuncSetAttribute has asked for, by device and kernel.
std::mutex grants_mutex;
std::map<std::pair<int, const void*>, std::size_t> grants;

class LaunchRecord {
 public:
  ~LaunchRecord() {
    if (file_ == nullptr) return;
    std::ofstream out(file_);
    for (const auto& [kernel, most] : most_)
      out << function_name(kernel) << '\t' << most[0] << '\t' << most[1] << '\t' << most[2] << '\n';
  }
  void note(const Launch& shape, std::size_t array_bytes) {
    if (file_ == nullptr) return;
    const std::lock_guard guard(mutex_);
    std::array<std::size_t, 3>& most = most_[shape.kernel];
    const std::size_t threads = std::size_t{shape.block.x} * shape.block.y * shape.block.z;
    most = {std::max(most[0], threads), std::max(most[1], array_bytes),
            std::max(most[2], shape.shared_bytes)};
  }

 private:
  const char* const file_ = std::getenv("HEADWATER_EMULATION_LAUNCHES");
  std::mutex mutex_;
  std::map<const void*, std::array<std::size_t, 3>> most_;
};

LaunchRecord& launch_record() {
  static LaunchRecord record;
  return record;
}

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

// Histories of memory are in the times of one block's clocks, whichever thread comes to run it; there is one
// such thread at a time. It is never destroyed: a thread may be at work when the program ends.
Block& checking_block() {
  static Block& block = *new Block;
  return block;
}

// A number that steps through all of `count` blocks before it comes back to the first.
std::uint64_t stride_through(std::uint64_t count) {
  std::uint64_t stride = count / 2 + 1;
  while (std::gcd(stride, count) != 1) ++stride;
  return stride;
}

void run_grid(const Launch& shape) {
  const Settings how = settings();
  const std::uint64_t plane = static_cast<std::uint64_t>(shape.grid.x) * shape.grid.y,
                      blocks = plane * shape.grid.z;
  const std::uint64_t stride = how.shuffled ? stride_through(blocks) : 1;  // no order of blocks is promised
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> broken{false};
  const auto work = [&] {
    Block& block = how.check ? checking_block() : own_block();
    block.begin_launch(how);
    for (std::uint64_t turn = next++; turn < blocks && !broken; turn = next++) {
      const std::uint64_t number = (turn * stride + (how.shuffled ? how.seed : 0)) % blocks;
      const uint3 index{static_cast<unsigned>(number % shape.grid.x),
                        static_cast<unsigned>(number / shape.grid.x % shape.grid.y),
                        static_cast<unsigned>(number / plane)};
      if (!block.run(shape, index, how)) broken = true;
      launch_record().note(shape, block.array_bytes());
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

void queue_launch(const Launch& asked, cudaStream_t handle) {
  const StreamLock lock;
  Stream* const stream = find_stream(handle);
  Launch shape = asked;
  std::size_t granted = kUnaskedSharedBytes;
  {
    const std::lock_guard guard(grants_mutex);
    const auto grant = grants.find({current_device(), shape.kernel});
    shape.shared_granted = grant != grants.end();
    if (shape.shared_granted) granted = grant->second;
  }
  if (stream == nullptr) {
    failed(cudaErrorInvalidResourceHandle);
  } else if (!launchable(shape)) {
    failed(cudaErrorInvalidConfiguration);
  } else if (shape.shared_bytes > granted) {
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

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
      static_cast<std::size_t>(value) > emulation::kMaxSharedBytes) {
    return emulation::failed(cudaErrorInvalidValue);
  }
  const std::lock_guard guard(emulation::grants_mutex);
  emulation::grants[{emulation::current_device(), function}] = static_cast<std::size_t>(value);
  return emulation::done();
}

// Not mangled, which who asks for it must expect of a kernel that is no C++.
cudaError_t cudaFuncGetName(const char** name, const void* function) {
  static std::mutex mutex;
  static std::map<const void*, std::string> names;
  const std::lock_guard guard(mutex);
  const auto [known, fresh] = names.try_emplace(function);
  if (fresh) known->second = emulation::function_name(function);
  *name = known->second.c_str();
  return emulation::done();
}
