#include "fiber.h"

#include <cstdint>
#include <cstdlib>

namespace emulation {

#if defined(EMULATION_UCONTEXT)

namespace {
// makecontext passes ints only.
void enter(unsigned entry_high, unsigned entry_low, unsigned argument_high, unsigned argument_low) {
  const auto join = [](unsigned high, unsigned low) {
    return (static_cast<std::uintptr_t>(high) << 32U) | low;
  };
  reinterpret_cast<void (*)(void*)>(join(entry_high, entry_low))(
      reinterpret_cast<void*>(join(argument_high, argument_low)));
  std::abort();
}
}  // namespace

void Fiber::begin(void* stack, std::size_t bytes, void (*entry)(void*), void* argument) {
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack;
  context_.uc_stack.ss_size = bytes;
  context_.uc_link = nullptr;
  const auto e = reinterpret_cast<std::uintptr_t>(entry), a = reinterpret_cast<std::uintptr_t>(argument);
  makecontext(&context_, reinterpret_cast<void (*)()>(enter), 4, static_cast<unsigned>(e >> 32U),
              static_cast<unsigned>(e), static_cast<unsigned>(a >> 32U), static_cast<unsigned>(a));
}

void Fiber::switch_to(Fiber& from, Fiber& to) { swapcontext(&from.context_, &to.context_); }

#else

// Keeps rbx, rbp, r12 to r15 on the stack that is left. Ends in a jump rather than in `ret`, which the
// processor would predict to return to where this fiber's stack was entered last, always wrongly.
asm(R"(
.text
.type emulation_switch_fiber, @function
emulation_switch_fiber:
  popq %rdx
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rdx, 8(%rdi)
  movq (%rsi), %rsp
  movq 8(%rsi), %rdx
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  jmp *%rdx
.size emulation_switch_fiber, . - emulation_switch_fiber
.type emulation_enter_fiber, @function
emulation_enter_fiber:
  movq %r12, %rdi
  callq *%rbx
  ud2
.size emulation_enter_fiber, . - emulation_enter_fiber
)");
extern "C" void emulation_switch_fiber(void* from, void* to);
extern "C" void emulation_enter_fiber();

void Fiber::begin(void* stack, std::size_t bytes, void (*entry)(void*), void* argument) {
  const auto top = (reinterpret_cast<std::uintptr_t>(stack) + bytes) & ~std::uintptr_t{63};
  auto* const words =
      reinterpret_cast<std::uintptr_t*>(top) - 8;  // six registers, in the order in which they are popped
  words[0] = words[1] = words[2] = 0;              // r15, r14, r13
  words[3] = reinterpret_cast<std::uintptr_t>(argument);  // r12
  words[4] = reinterpret_cast<std::uintptr_t>(entry);     // rbx
  words[5] = 0;                                           // rbp: the end of the chain of frames
  stack_pointer_ = words;
  resume_at_ = reinterpret_cast<void*>(&emulation_enter_fiber);
}

void Fiber::switch_to(Fiber& from, Fiber& to) {
  static_assert(sizeof(Fiber) == 2 * sizeof(void*));
  emulation_switch_fiber(&from, &to);
}

#endif

}  // namespace emulation
