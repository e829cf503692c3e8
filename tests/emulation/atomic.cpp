// Atomics on global and shared memory, and counts that blocks wait for; blocks may run on several threads of
// the CPU.

#include "access_check.h"

#include <atomic>
#include <chrono>
#include <thread>

namespace emulation {
namespace {

template <class T, class Change>
T atomically(T* address, Change change) {
  check_access(*Block::current(), address, sizeof(T), sizeof(T), AccessKind::atomic);
  std::atomic_ref<T> reference(*address);
  T before = reference.load();
  while (!reference.compare_exchange_weak(before, change(before))) {
  }
  return before;
}

template <class T>
T add(T* address, T value) {
  return atomically(address, [value](T before) { return before + value; });
}

template <class T>
T maximum(T* address, T value) {
  return atomically(address, [value](T before) { return before < value ? value : before; });
}

template <class T>
T compare_and_swap(T* address, T compare, T value) {
  return atomically(address, [compare, value](T before) { return before == compare ? value : before; });
}

// What another thread of the CPU has not done in so long it never does.
constexpr std::chrono::seconds kPatience{20};

}  // namespace

void add_release(int* count, int value) {
  Block::current()->lane().place = __builtin_return_address(0);
  add(count, value);
}

void await(const int* count, int value) {
  Block& block = *Block::current();
  block.lane().place = __builtin_return_address(0);
  check_access(block, count, sizeof(int), sizeof(int), AccessKind::atomic);
  const auto seen = [count] { return __atomic_load_n(count, __ATOMIC_ACQUIRE); };
  const bool others_run = block.settings().threads > 1 && !block.settings().check;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (seen() != value) {
    if (!others_run || faulty() || std::chrono::steady_clock::now() > end) {
      block.fault("waits for a count of " + std::to_string(value) + ", which is " + std::to_string(seen()) +
                  ", and the blocks that could add to it have ended or not begun");
    }
    std::this_thread::yield();
  }
}

}  // namespace emulation

float atomicAdd(float* address, float value) { return emulation::add(address, value); }
double atomicAdd(double* address, double value) { return emulation::add(address, value); }
int atomicAdd(int* address, int value) { return emulation::add(address, value); }
unsigned atomicAdd(unsigned* address, unsigned value) { return emulation::add(address, value); }
unsigned long long atomicAdd(unsigned long long* address, unsigned long long value) {
  return emulation::add(address, value);
}
int atomicMax(int* address, int value) { return emulation::maximum(address, value); }
unsigned atomicMax(unsigned* address, unsigned value) { return emulation::maximum(address, value); }
int atomicCAS(int* address, int compare, int value) {
  return emulation::compare_and_swap(address, compare, value);
}
unsigned atomicCAS(unsigned* address, unsigned compare, unsigned value) {
  return emulation::compare_and_swap(address, compare, value);
}
