// __syncthreads and the named barriers of a part of a block.

#include "block.h"

#include <chrono>
#include <thread>

namespace emulation {
namespace {

// Where blocks run beside one another in a random order they also take turns in being slow.
void linger(Block& block) {
  constexpr unsigned kLongest = 200;  // microseconds
  if (!block.settings().shuffled || block.settings().threads == 1 || block.settings().check) return;
  const std::uint64_t chance = block.random()();
  if (chance % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(chance / 4 % kLongest));
}

void arrive(unsigned id, unsigned expected, bool wait, const char* name, const char* file, int line) {
  Block& block = *Block::current();
  Barrier& barrier = block.barrier(id);
  if (barrier.expected == 0) {
    barrier.expected = expected, barrier.file = file, barrier.line = line;
  } else if (barrier.expected != expected) {
    block.fault("comes to barrier " + std::to_string(id) + " of " + std::to_string(expected) +
                " threads, where others wait for " + std::to_string(barrier.expected));
  } else if (file != nullptr && (barrier.line != line || barrier.file != file)) {
    block.fault(std::string("comes to __syncthreads at ") + file + ":" + std::to_string(line) +
                " while others wait in that of " + barrier.file + ":" + std::to_string(barrier.line));
  }
  block.clocks().arrive(block.lane().number / 32U, barrier.times);
  if (wait) barrier.waiting.push_back(block.lane().number);
  if (++barrier.arrived < barrier.expected) {
    if (wait) block.wait(name);
    return;
  }
  unsigned last_warp = kWarps;
  for (const std::uint16_t number : barrier.waiting) {
    if (number / 32U != last_warp) block.clocks().leave(last_warp = number / 32U, barrier.times);
    if (number != block.lane().number) block.wake(block.lane(number));
  }
  barrier.waiting.clear();
  barrier.expected = barrier.arrived = 0;
  barrier.times = {};
  linger(block);
}

}  // namespace

void named_barrier(unsigned id, unsigned threads, bool wait) {
  Block& block = *Block::current();
  block.lane().place = __builtin_return_address(0);
  if (id == 0 || id >= kBarriers) block.fault("names barrier " + std::to_string(id) + "; there are 1 to 15");
  if (threads == 0 || threads % 32 != 0 || threads > block.threads()) {
    block.fault("comes to barrier " + std::to_string(id) + " of " + std::to_string(threads) +
                " threads; whole warps of the block's " + std::to_string(block.threads()) + " can meet");
  }
  arrive(id, threads, wait, "a named barrier", nullptr, 0);
  if (!wait) {
    // A warp goes on as one from here, so that what its lanes do from now on is told from what they did
    // before.
    warp_operation("bar.arrive", 0xffffffffU, nullptr, [](void* const[32], std::uint32_t) {
      Block& here = *Block::current();
      here.clocks().move_on(here.lane().number / 32U);
    });
  }
}

}  // namespace emulation

void __syncthreads(int line, const char* file) {
  emulation::Block& block = *emulation::Block::current();
  block.lane().place = __builtin_return_address(0);
  for (unsigned number = 0; number < block.threads(); ++number) {
    if (block.barrier(0).expected == 0 && block.lane(number).finished) {
      block.fault(std::string("comes to __syncthreads at ") + file + ":" + std::to_string(line) +
                  ", and thread " + std::to_string(number) + " has returned");
    }
  }
  emulation::arrive(0, block.threads(), true, "__syncthreads", file, line);
}
