#pragma once
// Fibers: a place to stand in the middle of a function, and to go on from later. A switch is a function call
// that returns in another fiber; it saves what the calling convention asks a function to keep and nothing
// else. No locks, no signals; a fiber stays on the thread of the CPU where it was begun.

#include <cstddef>

#if !defined(__x86_64__) || defined(EMULATION_PORTABLE_FIBERS)
#include <ucontext.h>
#define EMULATION_UCONTEXT
#endif

namespace emulation {

class Fiber {
 public:
  // Afterwards the first switch to it calls entry(argument) on the stack [stack, stack + bytes); entry never
  // returns.
  void begin(void* stack, std::size_t bytes, void (*entry)(void*), void* argument);
  // Leaves the running fiber in `from`, goes on in `to`.
  static void switch_to(Fiber& from, Fiber& to);

 private:
#if defined(EMULATION_UCONTEXT)
  ucontext_t context_;
#else
  void* stack_pointer_ = nullptr;
  void* resume_at_ = nullptr;
#endif
};

}  // namespace emulation
