// What this machine's memory can do.

#include "headwater/backend/cpu_backend.h"
#include "headwater/base/clock.h"

#include "parallel.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

namespace headwater {

double measure_memory_bandwidth(int threads) {
  constexpr int kRuns = 7;
  // Several times the last-level cache, so that nothing of one run is left for the next. The C library copies this much
  // with stores that pass the caches by: what is counted is all that moves.
  const std::int64_t cache = std::max<std::int64_t>(sysconf(_SC_LEVEL3_CACHE_SIZE), 0);
  const std::int64_t bytes = std::max<std::int64_t>(std::int64_t{64} << 20, 4 * cache);
  const std::unique_ptr<std::byte[]> from(new std::byte[static_cast<std::size_t>(bytes)]);
  const std::unique_ptr<std::byte[]> to(new std::byte[static_cast<std::size_t>(bytes)]);
  const auto copy = [&] {
    cpu::parallel_parts(threads, bytes, [&](std::int64_t begin, std::int64_t end, int) {
      std::memcpy(to.get() + begin, from.get() + begin, static_cast<std::size_t>(end - begin));
    });
  };
  // Each thread touches its own part first, of both: that is where the system then keeps it.
  cpu::parallel_parts(threads, bytes, [&](std::int64_t begin, std::int64_t end, int) {
    std::memset(from.get() + begin, 0x3C, static_cast<std::size_t>(end - begin));
  });
  copy();
  std::vector<double> seconds;
  for (int run = 0; run < kRuns; ++run) {
    const Stopwatch watch;
    copy();
    seconds.push_back(watch.seconds());
  }
  std::sort(seconds.begin(), seconds.end());
  return 2.0 * static_cast<double>(bytes) / seconds[kRuns / 2];
}

}  // namespace headwater
