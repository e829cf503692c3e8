// What this machine's matrix products can do.

#include "headwater/backend/cpu_backend.h"
#include "headwater/base/clock.h"

#include "matrix_products.h"

#include <dnnl.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace headwater {

bool cpu_has_bf16() {
  const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
  return isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx;
}

double measure_matmul_flops(DType dtype, int threads) {
  constexpr std::int64_t kSide = 2048;
  constexpr std::size_t kRuns = 9;
  constexpr double kEnough = 0.3;  // seconds: every run and every resume waits for this
  const DType measured = cpu_has_bf16() ? dtype : DType::f32;
  const std::size_t size = size_of(measured);
  // Bytes that read as 0.0115 in either dtype: zeros would draw less power, and so let some chips run faster.
  std::vector<std::byte> memory(3 * kSide * kSide * size, std::byte{0x3C});
  const auto matrix = [&](std::size_t index) {
    return cpu::Matrix{memory.data() + index * kSide * kSide * size, measured, kSide, kSide, kSide, 1};
  };
  cpu::MatrixProducts products(threads);
  products.multiply(matrix(0), matrix(1), matrix(2), false);
  std::vector<double> seconds;
  const Stopwatch total;
  while (seconds.size() < kRuns && (seconds.empty() || total.seconds() < kEnough)) {
    const Stopwatch watch;
    products.multiply(matrix(0), matrix(1), matrix(2), false);
    seconds.push_back(watch.seconds());
  }
  std::sort(seconds.begin(), seconds.end());
  return 2.0 * kSide * kSide * kSide / seconds[seconds.size() / 2];
}

}  // namespace headwater
