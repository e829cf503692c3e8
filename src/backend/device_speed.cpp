#include "headwater/backend/device_speed.h"

#include "headwater/backend/cpu_backend.h"
#include "headwater/backend/random_operands.h"
#include "headwater/base/clock.h"
#include "headwater/tensor/device_memory.h"

#include <algorithm>
#include <vector>

namespace headwater {
namespace {

constexpr int kRuns = 7;
constexpr double kLong = 1e-3;  // seconds: a call that takes so long is large enough

}  // namespace

double time_calls(Backend& backend, int runs, const std::function<void(std::int64_t)>& call) {
  constexpr double kStretch = 5e-3, kMostCalls = 1000.0;
  std::int64_t number = 0;
  const auto stretch = [&](std::int64_t calls) {
    backend.queue().synchronize();
    const Stopwatch watch;
    for (std::int64_t i = 0; i < calls; ++i) call(number++);
    backend.queue().synchronize();
    return watch.seconds() / static_cast<double>(calls);
  };
  stretch(1);  // the first may prepare
  const auto calls = static_cast<std::int64_t>(std::clamp(kStretch / stretch(1), 1.0, kMostCalls));
  std::vector<double> seconds;
  for (int run = 0; run < runs; ++run) seconds.push_back(stretch(calls));
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

double measure_matmul_flops(Backend& backend, DType dtype, int threads) {
  if (backend.device().kind == Device::Kind::cpu) return measure_matmul_flops(dtype, threads);
  constexpr std::int64_t kSmallest = 256, kLargest = 8192;
  for (std::int64_t side = kSmallest;; side *= 2) {
    const std::int64_t bytes = side * side * static_cast<std::int64_t>(size_of(dtype));
    const DeviceMemory memory = allocate(backend.device(), 3 * bytes, "a product to measure");
    const auto matrix = [&](int index) {
      return TensorView(memory.get() + index * bytes, dtype, {side, side}, backend.device());
    };
    // both, and not alike
    fill_randomly(backend, TensorView(memory.get(), dtype, {2 * side, side}, backend.device()));
    const double seconds = time_calls(backend, kRuns, [&](std::int64_t) {
      backend.run(op::Linear{.x = matrix(0), .w = matrix(1), .y = matrix(2)});
    });
    const double n = static_cast<double>(side);
    if (seconds >= kLong || side == kLargest) return 2.0 * n * n * n / seconds;
  }
}

double measure_memory_bandwidth(Backend& backend, int threads) {
  if (backend.device().kind == Device::Kind::cpu) return measure_memory_bandwidth(threads);
  constexpr std::int64_t kSmallest = std::int64_t{1} << 20, kLargest = std::int64_t{1} << 29;
  for (std::int64_t bytes = kSmallest;; bytes *= 2) {
    const DeviceMemory memory = allocate(backend.device(), 2 * bytes, "a copy to measure");
    const auto half = [&](int index) {
      return TensorView(memory.get() + index * bytes, DType::f32, {bytes / 4}, backend.device());
    };
    fill_randomly(backend, half(0));
    const double seconds = time_calls(
        backend, kRuns, [&](std::int64_t) { backend.run(op::Copy{.from = half(0), .to = half(1)}); });
    if (seconds >= kLong || bytes == kLargest) return 2.0 * static_cast<double>(bytes) / seconds;
  }
}

}  // namespace headwater
