#include "headwater/base/threads.h"

#include "headwater/base/error.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <vector>

namespace headwater {

int available_cores() {
  // The kernel refuses a mask smaller than its own, and a cpu_set_t has room for 1024 cores only. So larger
  // masks are tried in turn.
  for (int cores = 1024;; cores *= 2) {
    const std::size_t size = CPU_ALLOC_SIZE(cores);
    std::vector<cpu_set_t> mask((size + sizeof(cpu_set_t) - 1) / sizeof(cpu_set_t));
    if (sched_getaffinity(0, size, mask.data()) == 0) return CPU_COUNT_S(size, mask.data());
    if (errno != EINVAL || cores > (1 << 20)) throw_errno(errno, "read", "the affinity mask");
  }
}

int threads_for(int local_ranks) {
  if (const char* asked = std::getenv("OMP_NUM_THREADS")) {
    const int threads = std::atoi(asked);  // the first of a list for nested levels ("4,2")
    if (threads > 0) return threads;
  }
  return std::max(1, available_cores() / std::max(1, local_ranks));
}

}  // namespace headwater
