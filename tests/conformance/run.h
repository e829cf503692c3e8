#pragma once
// Inputs on the device, a kernel of one warp or more, its outputs back.

#include <cuda_runtime.h>

#include <bit>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "launch.cuh"

namespace headwater::conformance {

inline void check(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

// Memory of the device that holds `host`.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& host) : size_(host.size()) {
    check(cudaMalloc(reinterpret_cast<void**>(&data_), size_ * sizeof(T)));
    check(cudaMemcpy(data_, host.data(), size_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  ~OnDevice() { cudaFree(data_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  T* data() const { return data_; }
  std::vector<T> host() const {
    std::vector<T> values(size_);
    check(cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

// kernel(inputs..., words): `count` words come out of `threads` threads.
template <class... Parameters, class... Inputs>
std::vector<std::uint32_t> words_of(std::size_t count, unsigned threads, void (*kernel)(Parameters...),
                                    const Inputs&... inputs) {
  const OnDevice<std::uint32_t> words(std::vector<std::uint32_t>(count, 0xdeadbeefU));
  kernels::launch(kernel, dim3(1), dim3(threads), 0, nullptr, inputs.data()..., words.data());
  check(cudaGetLastError());
  check(cudaDeviceSynchronize());
  return words.host();
}

// Numbers of a multiplicative generator: the same everywhere.
inline std::vector<std::uint32_t> random_words(std::size_t count, std::uint32_t seed) {
  std::vector<std::uint32_t> words(count);
  std::uint64_t state = 0x9E3779B97F4A7C15ULL * (seed + 1);
  for (std::uint32_t& word : words) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    word = static_cast<std::uint32_t>(state >> 32U);
  }
  return words;
}

// In (−2, 2), multiples of 1/64: exact in bf16, f16 and tf32.
inline std::vector<float> random_floats(std::size_t count, std::uint32_t seed) {
  std::vector<float> values;
  for (const std::uint32_t word : random_words(count, seed)) {
    values.push_back(static_cast<float>(static_cast<int>(word % 255U) - 127) / 64.0F);
  }
  return values;
}

inline std::vector<double> as_doubles(const std::vector<std::uint32_t>& words) {
  return {words.begin(), words.end()};
}

}  // namespace headwater::conformance
