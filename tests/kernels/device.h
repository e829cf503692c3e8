#pragma once
// What a test of kernels needs: arrays on the device, every way in which the emulation runs a kernel, and a
// comparison that a NaN does not slip through. The same tests run on a GPU where they are built for one.

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#if !defined(__CUDACC__) && __has_include("emulation/settings.h")
#include "emulation/settings.h"
#define HEADWATER_TESTS_EMULATED
#endif

namespace headwater::kernels {

using bf16 = __nv_bfloat16;

inline void expect_device_is_well() {
  const cudaError_t error = cudaDeviceSynchronize();
#if defined(HEADWATER_TESTS_EMULATED)
  EXPECT_EQ(error, cudaSuccess) << emulation::take_fault();
#else
  EXPECT_EQ(error, cudaSuccess) << cudaGetErrorString(error);
#endif
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

template <class T>
class DeviceArray {
 public:
  // `lead` elements before the first, for addresses that are not aligned.
  explicit DeviceArray(std::size_t size, std::size_t lead = 0) : size_(size), lead_(lead) {
    EXPECT_EQ(cudaMalloc(&memory_, (size + lead) * sizeof(T)), cudaSuccess);
  }
  explicit DeviceArray(const std::vector<T>& host, std::size_t lead = 0) : DeviceArray(host.size(), lead) {
    EXPECT_EQ(cudaMemcpy(data(), host.data(), size_ * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  }
  ~DeviceArray() { cudaFree(memory_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return memory_ + lead_; }
  std::size_t size() const { return size_; }
  std::vector<T> host() const {  // after all work; fails the test where a kernel went wrong
    expect_device_is_well();
    std::vector<T> values(size_);
    EXPECT_EQ(cudaMemcpy(values.data(), data(), size_ * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return values;
  }

 private:
  T* memory_ = nullptr;
  std::size_t size_, lead_;
};

// Runs the body once, as the emulation's settings stand; skips the test where the GPU that it wants is
// missing.
inline void in_one_mode(const std::function<void()>& body) {
#if !defined(HEADWATER_TESTS_EMULATED)
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) GTEST_SKIP() << "no GPU";
#endif
  body();
  expect_device_is_well();
}

// Runs the body once in each of the emulation's ways, or once on a GPU; where the environment has
// HEADWATER_ONE_MODE, once in the emulation too.
inline void in_every_mode(const std::function<void()>& body) {
#if defined(HEADWATER_TESTS_EMULATED)
  using Time = emulation::Settings::Time;
  const emulation::Settings before = emulation::settings();
  emulation::Settings late, early, checked;
  early.copies = Time::early, early.streams = Time::early, early.shuffled = true, early.seed = 2;
  checked.copies = Time::random, checked.streams = Time::random, checked.check = true;
  const std::pair<const char*, emulation::Settings> modes[] = {{"late copies, fixed order", late},
                                                               {"early copies, random order", early},
                                                               {"checked accesses", checked}};
  for (const auto& [name, mode] : modes) {
    SCOPED_TRACE(name);
    emulation::settings() = mode;
    in_one_mode(body);
    if (std::getenv("HEADWATER_ONE_MODE") != nullptr) break;
  }
  emulation::settings() = before;
#else
  in_one_mode(body);
#endif
}

// |got − expected| ≤ absolute + relative · |expected| for every element.
template <class Got, class Expected>
void expect_close(const std::vector<Got>& got, const std::vector<Expected>& expected, double absolute,
                  double relative) {
  ASSERT_EQ(got.size(), expected.size());
  std::size_t wrong = 0, worst = 0;
  double worst_excess = 0.0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double g = static_cast<float>(got[i]), e = static_cast<double>(expected[i]);
    if (g == e) continue;
    const double excess = std::abs(g - e) - (absolute + relative * std::abs(e));
    if (excess <= 0.0) continue;  // false for a NaN
    if (wrong++ == 0 || excess > worst_excess) worst = i, worst_excess = excess;
  }
  EXPECT_EQ(wrong, 0U) << "of " << got.size() << " elements; the worst is number " << worst << ", "
                       << static_cast<float>(got[worst]) << " where " << static_cast<double>(expected[worst])
                       << " is expected";
}

}  // namespace headwater::kernels
