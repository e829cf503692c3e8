#include "headwater/base/signals.h"

#include "headwater/base/error.h"

#include <csignal>

#include <atomic>
#include <cerrno>

namespace headwater::signals {
namespace {

std::atomic<int> first{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch nothing else");

void remember(int number) {
  int none = 0;
  first.compare_exchange_strong(none, number);
}

}  // namespace

void install() {
  struct sigaction action = {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int number : {SIGTERM, SIGUSR1})
    if (sigaction(number, &action, nullptr) != 0)
      throw_errno(errno, "install the handler of", "SIGTERM, SIGUSR1");
}

int pending() { return first.load(); }

void clear() { first.store(0); }

}  // namespace headwater::signals
