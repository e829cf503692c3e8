// Staging, the ring through which copies from the host go. Copies that fit into the ring must not wait, and
// copies that do not fit must be right, too. The emulation makes a copy only when it is waited for, so that
// all copies are under way until then.

#include "headwater/tensor/cuda/memory.h"

#include "emulation/settings.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace headwater::cuda {
namespace {

constexpr std::int64_t kMiB = 1 << 20;

class StagingTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { emulation::settings().profiler = true; }  // which the program asks for once

  StagingTest() : stream_({Device::Kind::cuda, 0}, "rank 0", "test") {}

  // Copies numbered bytes in pieces, and returns the number of waits that a profiler sees.
  int waits_of(Staging& staging, std::int64_t bytes, std::int64_t piece) {
    memory_ = allocate({Device::Kind::cuda, 0}, bytes, "a test");
    size_ = bytes;
    testing::internal::CaptureStderr();
    std::vector<std::byte> host;
    for (std::int64_t begin = 0; begin < bytes; begin += piece) {
      host.assign(static_cast<std::size_t>(std::min(piece, bytes - begin)), std::byte{});
      for (std::size_t i = 0; i < host.size(); ++i) host[i] = byte_at(begin + static_cast<std::int64_t>(i));
      staging.to_device(host, memory_.get() + begin);
      std::memset(host.data(), 0xEE, host.size());  // the caller's memory is its own again
    }
    const std::string lines = testing::internal::GetCapturedStderr();
    int waits = 0;
    for (std::size_t at = lines.find("> host waits"); at != std::string::npos;
         at = lines.find("> host waits", at + 1))
      ++waits;
    return waits;
  }

  void expect_copied() {
    std::vector<std::byte> seen(static_cast<std::size_t>(size_));
    ASSERT_EQ(cudaMemcpyAsync(seen.data(), memory_.get(), seen.size(), cudaMemcpyDeviceToHost, stream_.get()),
              cudaSuccess);
    stream_.synchronize();
    for (std::int64_t i = 0; i < size_; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)], byte_at(i)) << i;
  }

  static std::byte byte_at(std::int64_t i) { return static_cast<std::byte>(i % 251); }

  Stream stream_;
  DeviceMemory memory_;
  std::int64_t size_ = 0;
};

// Copies as small as a micro-batch's borders and as large as weights, of odd sizes; whole lines come first,
// as in a step.
TEST_F(StagingTest, WhatTheRingHoldsIsNotWaitedFor) {
  for (const std::int64_t piece : {std::int64_t{256}, std::int64_t{1280}, kMiB, 3 * kMiB}) {
    Staging staging(stream_, 3 * kMiB);
    for (int step = 0; step < 4; ++step) {  // each begins where the last one ended
      EXPECT_EQ(waits_of(staging, 3 * kMiB, piece), 0) << piece << ", step " << step;
      expect_copied();
    }
  }
}

TEST_F(StagingTest, MoreIsWaitedForAndRight) {
  Staging staging(stream_, 2 * kMiB);
  EXPECT_GT(waits_of(staging, 7 * kMiB + 12345, kMiB / 2), 2);
  expect_copied();
  EXPECT_GT(waits_of(staging, 5 * kMiB, 5 * kMiB), 0);
  expect_copied();
}

TEST_F(StagingTest, PiecesOfAnySizeKeepTheirBytes) {
  Staging staging(stream_, 1);
  waits_of(staging, 4 * kMiB + 3, 65537);
  expect_copied();
}

}  // namespace
}  // namespace headwater::cuda
