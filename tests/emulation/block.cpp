#include "block.h"

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

thread_local Block* current_block = nullptr;

constexpr std::size_t kPage = 4096;
// Stacks that all began at the same place of a page would fight for the same lines of the cache.
constexpr std::size_t kStagger = 5 * 64;

void* map_memory(std::size_t bytes) {
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return memory;
}

}  // namespace

Block* Block::current() { return current_block; }

Block::Block()
    : stack_memory_(static_cast<unsigned char*>(map_memory(kMaxThreads * kStackBytes))),
      lanes_(kMaxThreads),
      warps_(kMaxThreads / 32),
      ready_(kMaxThreads),
      shared_(static_cast<unsigned char*>(map_memory(2 * kMaxSharedBytes))) {}

Block::~Block() {
  munmap(stack_memory_, kMaxThreads * kStackBytes);
  munmap(shared_, 2 * kMaxSharedBytes);
}

unsigned char* Block::stack_of(unsigned number) const { return stack_memory_ + number * kStackBytes; }

bool Block::on_stack(const void* address) const {
  const auto* const stack = stack_of(running_->number);
  return address >= stack && address < stack + kStackBytes;
}

std::uint32_t Block::lanes_of_warp(unsigned number) const {
  const unsigned count = thread_count_ - 32 * number;
  return count >= 32 ? 0xffffffffU : (1U << count) - 1;
}

bool Block::run(const LaunchShape& shape, const std::function<void()>& thread, uint3 index, const Settings& settings) {
  thread_ = &thread, settings_ = &settings, shape_ = &shape, block_index_ = index;
  thread_count_ = shape.block.x * shape.block.y * shape.block.z;
  finished_ = ready_head_ = ready_count_ = 0;
  faulted_ = false;
  random_.seed(settings.seed + index.x + 7919ULL * index.y + 104729ULL * index.z);
  for (; stacks_ < thread_count_; ++stacks_) mprotect(stack_of(static_cast<unsigned>(stacks_)), kPage, PROT_NONE);
  for (unsigned number = 0; number < thread_count_; ++number) {
    Lane& lane = lanes_[number];
    lane.index = {number % shape.block.x, number / shape.block.x % shape.block.y,
                  number / (shape.block.x * shape.block.y)};
    lane.number = static_cast<std::uint16_t>(number);
    lane.finished = false;
    lane.copies.clear();
    lane.open_group = 0;
    lane.fiber.begin(stack_of(number) + kPage, kStackBytes - kPage - number % 8 * kStagger, lane_main, this);
    wake(lane);
  }
  for (auto& operations : warps_) operations = {};
  for (Barrier& barrier : barriers_) barrier = {};
  // The dynamic memory first, since it is asked for now; static arrays follow as the kernel comes to them.
  shared_arrays_.clear();
  shared_used_ = shape.shared_bytes;
  std::memset(shared_, 0xff, shared_used_);

  blockIdx = index, blockDim = shape.block, gridDim = shape.grid;
  current_block = this;
  running_ = next_ready();
  threadIdx = running_->index;
  Fiber::switch_to(outside_, running_->fiber);
  current_block = nullptr;
  if (!faulted_ && finished_ < thread_count_) {
    faulted_ = true;
    report_fault(deadlock());
  }
  return !faulted_;
}

void Block::lane_main(void* block) {
  auto& self = *static_cast<Block*>(block);
  (*self.thread_)();
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

void Block::wait(const char* for_what, const char* file, int line) {
  running_->waits_for = for_what, running_->file = file, running_->line = line;
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
  report_fault("block " + point(block_index_) + ", thread " + point(running_->index) + " " + text);
  faulted_ = true;
  Fiber::switch_to(running_->fiber, outside_);
  std::abort();  // a dropped fiber is not resumed
}

std::string Block::deadlock() const {
  std::string text = "nobody can go on:";
  unsigned told = 0;
  for (unsigned number = 0; number < thread_count_; ++number) {
    const Lane& lane = lanes_[number];
    if (lane.finished || lane.waits_for == nullptr) continue;
    unsigned last = number;  // of those that wait for the same
    while (last + 1 < thread_count_ && !lanes_[last + 1].finished && lanes_[last + 1].waits_for == lane.waits_for &&
           lanes_[last + 1].line == lane.line) {
      ++last;
    }
    text += (told++ == 0 ? " threads " : "; ") + std::to_string(number) + "-" + std::to_string(last) + " wait in " +
            lane.waits_for;
    if (lane.file != nullptr) text += std::string(" at ") + lane.file + ":" + std::to_string(lane.line);
    number = last;
  }
  return text + "; " + std::to_string(finished_) + " have returned";
}

void* Block::static_shared(const void* site, std::size_t bytes, std::size_t alignment) {
  for (const SharedArray& array : shared_arrays_) {
    if (array.site == site) return shared_ + array.offset;
  }
  constexpr std::size_t kLeast = 16;  // what nvcc gives; more than the type asks for hides nothing that the checks look at
  alignment = alignment < kLeast ? kLeast : alignment;
  const std::size_t offset = (shared_used_ + alignment - 1) / alignment * alignment;
  if (offset + bytes > kMaxSharedBytes) {
    fault("asks for " + std::to_string(offset + bytes) + " bytes of shared memory; a block has " +
          std::to_string(kMaxSharedBytes));
  }
  shared_arrays_.push_back({site, offset});
  shared_used_ = offset + bytes;
  std::memset(shared_ + offset, 0xff, bytes);
  return shared_ + offset;
}

void* static_shared(const void* site, std::size_t bytes, std::size_t alignment) {
  return Block::current()->static_shared(site, bytes, alignment);
}

unsigned char* dynamic_shared() { return Block::current()->dynamic_shared(); }

}  // namespace emulation
