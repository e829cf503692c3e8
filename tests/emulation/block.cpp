#include "block.h"

#include "memory.h"
#include "symbol.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

constinit thread_local uint3 threadIdx{};
constinit thread_local uint3 blockIdx{};
constinit thread_local dim3 blockDim{};
constinit thread_local dim3 gridDim{};

namespace emulation {
namespace {

constexpr std::size_t kPage = 4096;
// Stacks that all began at the same place of a page would fight for the same lines of the cache.
constexpr std::size_t kStagger = 5 * 64;

void* map_memory(std::size_t bytes) {
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return memory;
}

}  // namespace

constinit thread_local Block* Block::current_ = nullptr;

Block::Block()
    : stack_memory_(static_cast<unsigned char*>(map_memory(kMaxThreads * kStackBytes))),
      lanes_(kMaxThreads),
      warps_(kMaxThreads / 32),
      ready_(kMaxThreads),
      shared_(static_cast<unsigned char*>(map_memory(kSharedMapped))) {}

Block::~Block() {
  munmap(stack_memory_, kMaxThreads * kStackBytes);
  munmap(shared_, kSharedMapped);
}

std::uint32_t Block::lanes_of_warp(unsigned number) const {
  const unsigned count = thread_count_ - 32 * number;
  return count >= 32 ? 0xffffffffU : (1U << count) - 1;
}

bool Block::is_argument(const void* address) const {
  const auto* const arguments = static_cast<const unsigned char*>(launch_->arguments.get());
  return address >= arguments && address < arguments + launch_->argument_bytes;
}

void Block::begin_launch(const Settings& settings) {
  if (!settings.check) return;
  if (shadow_ == nullptr) shadow_ = std::make_unique<SharedShadow>();
  if (clocks_.worn_out()) {
    clocks_.reset();
    shadow_->history.clear();
    forget_histories();
  }
  clocks_.begin_launch();
  last_allocation_ = nullptr;  // may have been given back since
}

bool Block::run(const Launch& launch, uint3 index, const Settings& settings) {
  settings_ = &settings, launch_ = &launch, block_index_ = index;
  thread_count_ = launch.block.x * launch.block.y * launch.block.z;
  finished_ = ready_head_ = ready_count_ = 0;
  faulted_ = false;
  random_.seed(settings.seed + index.x + 7919ULL * index.y + 104729ULL * index.z);
  for (; stacks_ < thread_count_; ++stacks_)
    mprotect(stack_of(static_cast<unsigned>(stacks_)), kPage, PROT_NONE);
  for (unsigned number = 0; number < thread_count_; ++number) {
    Lane& lane = lanes_[number];
    lane.index = {number % launch.block.x, number / launch.block.x % launch.block.y,
                  number / (launch.block.x * launch.block.y)};
    lane.number = static_cast<std::uint16_t>(number);
    lane.finished = false;
    lane.place = nullptr;
    lane.copies.clear();
    lane.open_group = 0;
    lane.fiber.begin(stack_of(number) + kPage, kStackBytes - kPage - number % 8 * kStagger, lane_main, this);
    wake(lane);
  }
  for (auto& operations : warps_) operations = {};
  for (Barrier& barrier : barriers_) barrier = {};
  if (settings.check) {
    std::fill(shadow_->state.begin(), shadow_->state.end(), SharedShadow::kOutside);
    std::fill(shadow_->copying.begin(), shadow_->copying.end(), 0);
    clocks_.begin_block();
  }
  // The dynamic memory first, since its size is known now; static arrays follow as the kernel comes to them.
  shared_arrays_.clear();
  shared_used_ = 0;
  place_shared(launch.shared_bytes, 1);

  blockIdx = index, blockDim = launch.block, gridDim = launch.grid;
  current_ = this;
  running_ = next_ready();
  threadIdx = running_->index;
  Fiber::switch_to(outside_, running_->fiber);
  current_ = nullptr;
  if (!faulted_ && finished_ < thread_count_) {
    faulted_ = true;
    report_fault(deadlock());
  }
  return !faulted_;
}

void Block::lane_main(void* block) {
  auto& self = *static_cast<Block*>(block);
  self.launch_->call(self.launch_->arguments.get());
  self.finish_lane();
}

void Block::finish_lane() {
  running_->finished = true;
  ++finished_;
  const unsigned warp_number = running_->number / 32U;
  for (const WarpOperation& operation : warps_[warp_number]) {
    if ((operation.mask >> running_->number % 32U & 1U) != 0) {
      fault(std::string("has returned, and lanes of its warp wait for it in ") + operation.name);
    }
  }
  if (barriers_[0].expected != 0) fault("has returned, and others wait for it in __syncthreads");
  go_on();
}

void Block::wait(const char* for_what) {
  running_->waits_for = for_what;
  go_on();
}

void Block::wake(Lane& lane) {
  lane.waits_for = nullptr;
  ready_[(ready_head_ + ready_count_++) % kMaxThreads] = &lane;
}

Lane* Block::next_ready() {
  if (ready_count_ == 0) return nullptr;
  if (settings_->shuffled) {
    const auto picked = (ready_head_ + random_() % ready_count_) % kMaxThreads;
    std::swap(ready_[picked], ready_[ready_head_]);
  }
  Lane* const lane = ready_[ready_head_];
  ready_head_ = (ready_head_ + 1) % kMaxThreads;
  --ready_count_;
  return lane;
}

void Block::go_on() {
  Lane* const before = running_;
  Lane* const next = next_ready();
  if (next == before) return;
  if (next == nullptr) {
    Fiber::switch_to(before->fiber, outside_);
    return;  // never: a block that nobody can go on in has ended
  }
  running_ = next;
  threadIdx = next->index;
  Fiber::switch_to(before->fiber, next->fiber);
}

void Block::fault(const std::string& text) {
  const auto point = [](const uint3& p) {
    return "(" + std::to_string(p.x) + ", " + std::to_string(p.y) + ", " + std::to_string(p.z) + ")";
  };
  const std::string line = source_line(running_->place);
  report_fault(function_name(launch_->kernel) + ": block " + point(block_index_) + ", thread " +
               point(running_->index) + " " + text + (line.empty() ? "" : ", at " + line));
  faulted_ = true;
  Fiber::switch_to(running_->fiber, outside_);
  std::abort();  // a dropped fiber is not resumed
}

std::string Block::deadlock() const {
  std::string text = function_name(launch_->kernel) + ": nobody can go on:";
  bool first = true;
  for (unsigned number = 0; number < thread_count_;) {
    const Lane& lane = lanes_[number];
    unsigned next = number + 1;  // the first that does not wait for the same in the same place
    while (next < thread_count_ && lanes_[next].waits_for == lane.waits_for &&
           lanes_[next].place == lane.place && lanes_[next].finished == lane.finished) {
      ++next;
    }
    if (!lane.finished) {
      const std::string line = source_line(lane.place);
      text += (first ? " threads " : "; threads ") + std::to_string(number) + "-" + std::to_string(next - 1) +
              " wait in " + lane.waits_for + (line.empty() ? "" : " at " + line);
      first = false;
    }
    number = next;
  }
  return text + "; " + std::to_string(finished_) + " have returned";
}

// New arrays lie behind the others; where accesses are checked, with room between that belongs to nobody.
std::size_t Block::place_shared(std::size_t bytes, std::size_t alignment) {
  constexpr std::size_t kRoom = 64;
  const std::size_t from = shared_used_ + (settings_->check && shared_used_ > 0 ? kRoom : 0);
  const std::size_t offset = (from + alignment - 1) / alignment * alignment;
  if (offset + bytes > kSharedMapped) fault("asks for more shared memory than a block has");
  shared_used_ = offset + bytes;
  std::memset(shared_ + offset, 0xff, bytes);
  if (settings_->check) std::fill_n(shadow_->state.data() + offset, bytes, SharedShadow::kUnwritten);
  return offset;
}

void* Block::static_shared(const void* site, std::size_t bytes, std::size_t alignment) {
  std::size_t taken = launch_->shared_bytes + bytes;
  for (const SharedArray& array : shared_arrays_) {
    if (array.site == site) return shared_ + array.offset;
    taken += array.bytes;
  }
  constexpr std::size_t kStatic = 48 * 1024;  // that nvcc lets a kernel declare
  const std::size_t most = launch_->shared_granted ? kMaxSharedBytes : kUnaskedSharedBytes;
  if (taken > most || taken - launch_->shared_bytes > kStatic) {
    fault("asks for " + std::to_string(taken) + " bytes of shared memory; a block has " +
          std::to_string(most) +
          (launch_->shared_granted ? "" : " where cudaFuncSetAttribute has not asked for more") +
          ", of which arrays may take " + std::to_string(kStatic));
  }
  constexpr std::size_t kLeast = 16;  // what nvcc gives
  const std::size_t offset = place_shared(bytes, alignment < kLeast ? kLeast : alignment);
  shared_arrays_.push_back({site, offset, bytes});
  return shared_ + offset;
}

unsigned char* Block::dynamic_shared(std::size_t most) {
  if (launch_->shared_bytes > most) {
    fault("was given " + std::to_string(launch_->shared_bytes) + " bytes of shared memory, and says " +
          std::to_string(most) + " at most");
  }
  return shared_;
}

void* static_shared(const void* site, std::size_t bytes, std::size_t alignment) {
  return Block::current()->static_shared(site, bytes, alignment);
}

unsigned char* dynamic_shared(std::size_t most) { return Block::current()->dynamic_shared(most); }

}  // namespace emulation
