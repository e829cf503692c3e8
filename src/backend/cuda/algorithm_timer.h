#pragma once
// How long a piece of a stream's work takes, by the device's own clock. For benchmarks: it waits for the
// device.

#include "headwater/tensor/cuda/stream.h"

#include <functional>

namespace headwater::cuda {

class AlgorithmTimer {
 public:
  explicit AlgorithmTimer(Stream& stream);
  ~AlgorithmTimer();
  AlgorithmTimer(const AlgorithmTimer&) = delete;
  AlgorithmTimer& operator=(const AlgorithmTimer&) = delete;

  // Returns the median seconds of work(), after one call that does not count.
  double median_seconds(const std::function<void()>& work);

 private:
  Stream& stream_;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

}  // namespace headwater::cuda
