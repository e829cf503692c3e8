// Host code: streams run late, early or by chance, and what is not ordered by an event shows in one of these.

#include "emulation/settings.h"
#include "kernels.h"

#include <gtest/gtest.h>

#include <vector>

namespace headwater {
namespace {

using Time = emulation::Settings::Time;
constexpr std::size_t kN = 32;

class Streams : public testing::Test {
 protected:
  Streams() {
    EXPECT_EQ(cudaStreamCreateWithFlags(&first_, cudaStreamNonBlocking), cudaSuccess);
    EXPECT_EQ(cudaStreamCreateWithFlags(&second_, cudaStreamNonBlocking), cudaSuccess);
    EXPECT_EQ(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), cudaSuccess);
    EXPECT_EQ(cudaEventCreateWithFlags(&other_, cudaEventDisableTiming), cudaSuccess);
    EXPECT_EQ(cudaMalloc(&device_, kN * sizeof(float)), cudaSuccess);
    EXPECT_EQ(cudaMallocHost(&pinned_, kN * sizeof(float)), cudaSuccess);
  }
  ~Streams() override {
    EXPECT_EQ(cudaStreamDestroy(first_), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(second_), cudaSuccess);
    EXPECT_EQ(cudaEventDestroy(event_), cudaSuccess);
    EXPECT_EQ(cudaEventDestroy(other_), cudaSuccess);
    EXPECT_EQ(cudaFree(device_), cudaSuccess);
    EXPECT_EQ(cudaFreeHost(pinned_), cudaSuccess);
    emulation::settings() = before_;
    emulation::take_fault();
    cudaGetLastError();
  }
  void set(Time streams) {
    emulation::settings() = {};
    emulation::settings().streams = streams;
  }
  // Pinned memory holds 1, then the device's 2 after `order` has ordered the second stream behind the first.
  template <class Order>
  float copied(Order order) {
    std::fill_n(pinned_, kN, 1.0F);
    kernels::fill(device_, 0.0F, kN, second_);
    EXPECT_EQ(cudaStreamSynchronize(second_), cudaSuccess);
    EXPECT_EQ(cudaEventRecord(other_, first_), cudaSuccess);
    kernels::fill(device_, 2.0F, kN, first_);
    EXPECT_EQ(cudaEventRecord(event_, first_), cudaSuccess);
    order();
    EXPECT_EQ(cudaMemcpyAsync(pinned_, device_, kN * sizeof(float), cudaMemcpyDeviceToHost, second_),
              cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(second_), cudaSuccess);
    return pinned_[kN - 1];
  }

  cudaStream_t first_ = nullptr, second_ = nullptr;
  cudaEvent_t event_ = nullptr, other_ = nullptr;
  float *device_ = nullptr, *pinned_ = nullptr;

 private:
  emulation::Settings before_ = emulation::settings();
};

TEST_F(Streams, AnEventOrdersThem) {
  for (const Time when : {Time::late, Time::early, Time::random}) {
    set(when);
    for (int round = 0; round < 10; ++round) {
      ASSERT_EQ(copied([&] { ASSERT_EQ(cudaStreamWaitEvent(second_, event_, 0), cudaSuccess); }), 2.0F);
    }
  }
}

TEST_F(Streams, AMissingEventShowsLate) {
  set(Time::late);
  EXPECT_EQ(copied([] {}), 0.0F);
}

TEST_F(Streams, TheWrongEventShowsLate) {
  set(Time::late);
  EXPECT_EQ(copied([&] { ASSERT_EQ(cudaStreamWaitEvent(second_, other_, 0), cudaSuccess); }), 0.0F);
}

TEST_F(Streams, AMissingEventShowsByChance) {
  set(Time::random);
  int wrong = 0;
  for (int round = 0; round < 20; ++round) wrong += copied([] {}) != 2.0F ? 1 : 0;
  EXPECT_GT(wrong, 0);
  EXPECT_LT(wrong, 20);
}

TEST_F(Streams, PinnedMemoryThatIsWrittenTooSoonShowsLate) {
  set(Time::late);
  std::fill_n(pinned_, kN, 1.0F);
  ASSERT_EQ(cudaMemcpyAsync(device_, pinned_, kN * sizeof(float), cudaMemcpyHostToDevice, first_),
            cudaSuccess);
  std::fill_n(pinned_, kN, 3.0F);
  ASSERT_EQ(cudaStreamSynchronize(first_), cudaSuccess);
  std::vector<float> got(kN);
  ASSERT_EQ(cudaMemcpy(got.data(), device_, kN * sizeof(float), cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(got[0], 3.0F);
}

TEST_F(Streams, MemoryThatIsNotPinnedHasBeenRead) {
  set(Time::late);
  std::vector<float> host(kN, 1.0F);
  ASSERT_EQ(cudaMemcpyAsync(device_, host.data(), kN * sizeof(float), cudaMemcpyHostToDevice, first_),
            cudaSuccess);
  host.assign(kN, 3.0F);
  ASSERT_EQ(cudaMemcpyAsync(host.data(), device_, kN * sizeof(float), cudaMemcpyDeviceToHost, first_),
            cudaSuccess);
  EXPECT_EQ(host[0], 1.0F);
}

TEST_F(Streams, AGraphRepeatsWhatItCaptured) {
  for (const Time when : {Time::late, Time::early, Time::random}) {
    set(when);
    ASSERT_EQ(cudaStreamBeginCapture(first_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    kernels::fill(device_, 5.0F, kN, first_);
    ASSERT_EQ(cudaEventRecord(event_, first_), cudaSuccess);
    ASSERT_EQ(cudaStreamWaitEvent(second_, event_, 0), cudaSuccess);
    ASSERT_EQ(cudaMemcpyAsync(pinned_, device_, kN * sizeof(float), cudaMemcpyDeviceToHost, second_),
              cudaSuccess);
    ASSERT_EQ(cudaEventRecord(other_, second_), cudaSuccess);
    ASSERT_EQ(cudaStreamWaitEvent(first_, other_, 0), cudaSuccess);
    kernels::fill(device_, 6.0F, kN, first_);
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaStreamEndCapture(first_, &graph), cudaSuccess);
    cudaGraphExec_t executable = nullptr;
    ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    for (int round = 0; round < 3; ++round) {
      pinned_[0] = 0.0F;
      ASSERT_EQ(cudaGraphLaunch(executable, first_), cudaSuccess);
      ASSERT_EQ(cudaStreamSynchronize(first_), cudaSuccess);
      EXPECT_EQ(pinned_[0], 5.0F);
      float last = 0.0F;
      ASSERT_EQ(cudaMemcpy(&last, device_, sizeof(last), cudaMemcpyDeviceToHost), cudaSuccess);
      EXPECT_EQ(last, 6.0F);
    }
    ASSERT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
  }
}

TEST_F(Streams, ACaptureThatIsNotJoinedIsRefused) {
  set(Time::late);
  ASSERT_EQ(cudaStreamBeginCapture(first_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(event_, first_), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(second_, event_, 0), cudaSuccess);
  kernels::fill(device_, 5.0F, kN, second_);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(first_, &graph), cudaErrorStreamCaptureUnjoined);
}

TEST_F(Streams, WrongCallsAreRefused) {
  set(Time::late);
  std::vector<float> host(kN);
  const auto bytes = kN * sizeof(float);
  EXPECT_EQ(cudaMemcpy(host.data(), device_, bytes, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(device_ + 1, host.data(), bytes, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(host.data(), 0, bytes, first_), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(device_ + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(pinned_), cudaErrorInvalidValue);
  EXPECT_EQ(cudaSetDevice(99), cudaErrorInvalidDevice);
  cudaGetLastError();
  kernels::fill(device_, 0.0F, kN, reinterpret_cast<cudaStream_t>(device_));
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(Streams, TheHostDoesNotTouchDeviceMemory) {
  const auto touch = [this] {
    set(Time::late);
    emulation::settings().check = true;
    kernels::fill(device_, 2.0F, kN, first_);
    cudaStreamSynchronize(first_);
    float values[2] = {};
    cudaMemcpy(values, device_, sizeof(values), cudaMemcpyDeviceToHost);  // as it should be done
    return values[1] + *static_cast<volatile float*>(device_ + 1);
  };
  EXPECT_DEATH(touch(), "the host touches byte 4 of 128 bytes of a device's memory");
}

TEST_F(Streams, ADeviceHasSoMuchMemoryAndNoMore) {
  set(Time::late);
  emulation::settings().memory = 1 << 20;
  std::size_t free = 0, total = 0;
  ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  EXPECT_EQ(total, std::size_t{1} << 20);
  EXPECT_EQ(free, total - kN * sizeof(float));
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, free + 1), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&memory, free), cudaSuccess);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
}

TEST_F(Streams, BlocksMayRunOnSeveralThreads) {
  set(Time::late);
  emulation::settings().threads = 2;
  constexpr std::int64_t kMany = 100000;
  float* many = nullptr;
  ASSERT_EQ(cudaMalloc(&many, kMany * sizeof(float)), cudaSuccess);
  kernels::fill(many, 4.0F, kMany, first_);
  ASSERT_EQ(cudaStreamSynchronize(first_), cudaSuccess);
  std::vector<float> got(kMany);
  ASSERT_EQ(cudaMemcpy(got.data(), many, kMany * sizeof(float), cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(got, std::vector<float>(kMany, 4.0F));
  ASSERT_EQ(cudaFree(many), cudaSuccess);
}

}  // namespace
}  // namespace headwater
