#include "algorithm_timer.h"

#include "headwater/tensor/cuda/check.h"

#include <algorithm>
#include <array>

namespace headwater::cuda {
namespace {

constexpr std::size_t kTimes = 5;
constexpr int kRepeats = 8;  // one behind the other, so that the host's part is hidden

}  // namespace

AlgorithmTimer::AlgorithmTimer(Stream& stream) : stream_(stream) {
  HW_CUDA(stream_.name(), cudaEventCreate(&begin_));
  HW_CUDA(stream_.name(), cudaEventCreate(&end_));
}

AlgorithmTimer::~AlgorithmTimer() {
  for (const cudaEvent_t event : {begin_, end_})
    if (event != nullptr) HW_CUDA_LOG(stream_.name(), cudaEventDestroy(event));
}

double AlgorithmTimer::median_seconds(const std::function<void()>& work) {
  work();
  std::array<float, kTimes> milliseconds{};
  for (float& each : milliseconds) {
    HW_CUDA(stream_.name(), cudaEventRecord(begin_, stream_.get()));
    for (int i = 0; i < kRepeats; ++i) work();
    HW_CUDA(stream_.name(), cudaEventRecord(end_, stream_.get()));
    HW_CUDA(stream_.name(), cudaEventSynchronize(end_));
    HW_CUDA(stream_.name(), cudaEventElapsedTime(&each, begin_, end_));
  }
  std::ranges::nth_element(milliseconds, milliseconds.begin() + kTimes / 2);
  return 1e-3 / kRepeats * static_cast<double>(milliseconds[kTimes / 2]);
}

}  // namespace headwater::cuda
