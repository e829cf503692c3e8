#include "headwater/base/signals.h"

#include "headwater/base/error.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <vector>

namespace headwater::signals {
namespace {

std::atomic<int> first{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch nothing else");

void remember(int number) {
  int none = 0;
  first.compare_exchange_strong(none, number);
}

// Gives signal handlers in this thread a stack of their own. oneDNN's generated kernels for matrix products
// use the stack pointer register to point into the heap. A handler that took it for a stack would overwrite
// that memory with the saved registers.
void give_own_stack() {
  constexpr long kForTheHandler = 16 << 10;
  static std::vector<char> stack(static_cast<std::size_t>(sysconf(_SC_MINSIGSTKSZ) + kForTheHandler));
  stack_t own = {};
  own.ss_sp = stack.data();
  own.ss_size = stack.size();
  if (sigaltstack(&own, nullptr) != 0)
    throw_errno(errno, "set the stack of the handler of", "SIGTERM, SIGUSR1");
}

}  // namespace

void install() {
  give_own_stack();
  struct sigaction action = {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (const int number : {SIGTERM, SIGUSR1})
    if (sigaction(number, &action, nullptr) != 0)
      throw_errno(errno, "install the handler of", "SIGTERM, SIGUSR1");
}

int pending() { return first.load(); }

void clear() { first.store(0); }

}  // namespace headwater::signals
