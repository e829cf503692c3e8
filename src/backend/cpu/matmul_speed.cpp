// Measures how many FLOPs a second this machine's matrix products reach.

#include "headwater/backend/cpu_backend.h"
#include "headwater/backend/random_operands.h"
#include "headwater/base/clock.h"

#include "matrix_products.h"

#include <dnnl.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace headwater {

bool cpu_has_bf16() {
  const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
  return isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx;
}

double measure_matmul_flops(DType dtype, int threads) {
  // The side doubles until a product takes so long that a clock, and the threads' start, do not matter: on
  // one core 1024 will do, and a larger one would keep eight ranks that share a core busy for seconds.
  constexpr std::int64_t kSmallest = 512, kLargest = 2048;
  constexpr double kLong = 0.01;
  constexpr std::size_t kRuns = 9;
  constexpr double kEnough = 0.3;  // seconds: every run and every resume waits for this
  const DType measured = cpu_has_bf16() ? dtype : DType::f32;
  const std::vector<std::uint16_t> words = random_words(Signs::both);
  cpu::MatrixProducts products(threads);
  std::vector<double> seconds;
  std::int64_t side = kSmallest;
  for (;; side *= 2) {
    const std::size_t bytes = static_cast<std::size_t>(side * side) * size_of(measured);
    std::vector<std::byte> memory(3 * bytes);
    const auto pattern = std::as_bytes(std::span(words));
    for (std::size_t begin = 0; begin < 2 * bytes; begin += pattern.size())
      std::copy_n(pattern.data(), std::min(pattern.size(), 2 * bytes - begin), memory.data() + begin);
    const auto matrix = [&](std::size_t index) {
      return Matrix{memory.data() + index * bytes, measured, side, side, side, 1};
    };
    const auto time_product = [&] {
      const Stopwatch watch;
      products.multiply(matrix(0), matrix(1), matrix(2), false);
      return watch.seconds();
    };
    time_product();  // the first makes the code
    seconds = {time_product()};
    if (side < kLargest && seconds.front() < kLong) continue;
    const Stopwatch total;
    while (seconds.size() < kRuns && total.seconds() < kEnough) seconds.push_back(time_product());
    break;
  }
  std::sort(seconds.begin(), seconds.end());
  const double n = static_cast<double>(side);
  return 2.0 * n * n * n / seconds[seconds.size() / 2];
}

}  // namespace headwater
