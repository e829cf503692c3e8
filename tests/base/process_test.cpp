// Signals, clock and cores of the process.
#include "headwater/base/clock.h"
#include "headwater/base/signals.h"
#include "headwater/base/threads.h"

#include <gtest/gtest.h>

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <vector>

namespace headwater {
namespace {

TEST(Signals, TheFirstStopSignalIsRemembered) {
  signals::install();
  signals::clear();
  EXPECT_EQ(signals::pending(), 0);
  std::raise(SIGUSR1);
  EXPECT_EQ(signals::pending(), SIGUSR1);
  std::raise(SIGTERM);
  EXPECT_EQ(signals::pending(), SIGUSR1);
  signals::clear();
  std::raise(SIGTERM);
  EXPECT_EQ(signals::pending(), SIGTERM);
  signals::clear();
}

#if defined(__x86_64__)
// A kernel of oneDNN has its stack pointer in the heap, and so has this test when the signal comes.
TEST(Signals, TheHandlerWritesNothingWhereTheStackPointerIs) {
  signals::install();
  signals::clear();
  std::vector<unsigned char> heap(64 << 10, 0x5a);
  void* middle = heap.data() + heap.size() / 2;
  long result = SYS_tgkill;
  const long process = getpid(), thread = syscall(SYS_gettid), number = SIGUSR1;
  asm volatile(
      "xchgq %%rsp, %[stack]\n\t"
      "syscall\n\t"
      "xchgq %%rsp, %[stack]"
      : "+a"(result), [stack] "+r"(middle)
      : "D"(process), "S"(thread), "d"(number)
      : "rcx", "r11", "memory");
  EXPECT_EQ(result, 0);
  EXPECT_EQ(signals::pending(), SIGUSR1);
  EXPECT_EQ(std::count(heap.begin(), heap.end(), 0x5a), static_cast<std::ptrdiff_t>(heap.size()));
  signals::clear();
}
#endif

TEST(Clock, AStopwatchMeasures) {
  Stopwatch watch;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_GE(watch.seconds(), 0.02);
  EXPECT_LT(watch.seconds(), 20);
  const double before = watch.seconds();
  watch.restart();
  EXPECT_LT(watch.seconds(), before);
}

TEST(Threads, CoresAreSharedOutAmongTheRanksOfAHost) {
  ::unsetenv("OMP_NUM_THREADS");
  const int cores = available_cores();
  EXPECT_GE(cores, 1);
  EXPECT_EQ(threads_for(1), cores);
  EXPECT_EQ(threads_for(2), std::max(1, cores / 2));
  EXPECT_EQ(threads_for(cores * 4), 1);
}

TEST(Threads, TheAffinityMaskCounts) {
  ::unsetenv("OMP_NUM_THREADS");
  cpu_set_t all, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  int core = 0;
  while (!CPU_ISSET(core, &all)) ++core;
  CPU_ZERO(&one);
  CPU_SET(core, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(available_cores(), 1);
  EXPECT_EQ(threads_for(1), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
}

TEST(Threads, OmpNumThreadsIsObeyed) {
  ::setenv("OMP_NUM_THREADS", "3", 1);
  EXPECT_EQ(threads_for(8), 3);
  ::setenv("OMP_NUM_THREADS", "5,2", 1);
  EXPECT_EQ(threads_for(8), 5);
  ::setenv("OMP_NUM_THREADS", "many", 1);
  EXPECT_EQ(threads_for(1), available_cores());
  ::unsetenv("OMP_NUM_THREADS");
}

}  // namespace
}  // namespace headwater
