// Measures how many bytes a second this machine's memory moves.

#include "headwater/backend/cpu_backend.h"
#include "headwater/backend/random_operands.h"
#include "headwater/base/clock.h"

#include "parallel.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace headwater {
namespace {

// x read and written, y read: both directions at once carry the most, and no line is fetched only to be
// overwritten.
void add_half(float* x, const float* y, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) x[i] = 0.5F * x[i] + y[i];
}

}  // namespace

double measure_memory_bandwidth(int threads) {
  constexpr int kRuns = 7;
  // Several times the last-level cache in all, so that nothing of one run is left for the next.
  const std::int64_t cache = std::max<std::int64_t>(sysconf(_SC_LEVEL3_CACHE_SIZE), 0);
  const std::int64_t count = std::max<std::int64_t>(std::int64_t{64} << 20, 4 * cache) / 4;
  const std::unique_ptr<float[]> x(new float[static_cast<std::size_t>(count)]);
  const std::unique_ptr<float[]> y(new float[static_cast<std::size_t>(count)]);
  const std::vector<std::uint16_t> words = random_words(Signs::both);
  // Each thread touches its own part first: that is where the system then keeps it.
  cpu::parallel_parts(threads, count, [&](std::int64_t begin, std::int64_t end, int) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      bf16 number;
      number.bits = words[i % words.size()];
      x[i] = y[i] = static_cast<float>(number);
    }
  });
  std::vector<double> seconds;
  for (int run = 0; run < kRuns; ++run) {
    const Stopwatch watch;
    cpu::parallel_parts(threads, count, [&](std::int64_t begin, std::int64_t end, int) {
      add_half(x.get() + begin, y.get() + begin, end - begin);
    });
    seconds.push_back(watch.seconds());
  }
  std::sort(seconds.begin(), seconds.end());
  return 3.0 * static_cast<double>(count) * sizeof(float) / seconds[kRuns / 2];
}

}  // namespace headwater
