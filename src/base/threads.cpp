#include "headwater/base/threads.h"

#include "headwater/base/error.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <vector>

namespace headwater {

int available_cores() {
  // The kernel refuses a mask smaller than its own; a fixed cpu_set_t ends at 1024 cores.
  for (int cores = 1024;; cores *= 2) {
    const std::size_t size = CPU_ALLOC_SIZE(cores);
    std::vector<cpu_set_t> mask((size + sizeof(cpu_set_t) - 1) / sizeof(cpu_set_t));
    if (sched_getaffinity(0, size, mask.data()) == 0) return CPU_COUNT_S(size, mask.data());
    if (errno != EINVAL || cores > (1 << 20)) throw_errno(errno, "read", "the affinity mask");
  }
}

int threads_for(int local_ranks) {
  if (const char* asked = std::getenv("OMP_NUM_THREADS")) {
    const int threads = std::atoi(asked);  // of a list of nested levels ("4,2") the first counts
    if (threads > 0) return threads;
  }
  return std::max(1, available_cores() / std::max(1, local_ranks));
}

}  // namespace headwater
