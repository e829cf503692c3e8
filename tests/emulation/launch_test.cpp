// What launch() of kernels/launch.cuh remembers of a launch that was refused.

#include "launch.cuh"
#include "emulation/settings.h"
#include "kernels.h"

#include <gtest/gtest.h>

namespace headwater::kernels {
namespace {

constexpr std::size_t kMost = 200 << 10;  // more than a multiprocessor has

__global__ void kernel_of_much_memory() {
  SHARED_BLOCK(memory, kMost);
  memory[0] = 1;
}

__global__ void faulty_kernel() {
  if (threadIdx.x != 0) __syncthreads();
}

TEST(Launch, ThatIsRefusedIsNamed) {
  launch(kernel_of_much_memory, dim3(1), dim3(32), kMost, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(take_refused_launch(), "kernel_of_much_memory, 204800 bytes of shared memory for each block");
  EXPECT_EQ(take_refused_launch(), "");
  launch(kernel_of_much_memory, dim3(1), dim3(2048), 1024, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(take_refused_launch(), "kernel_of_much_memory, 1024 bytes of shared memory for each block");
  launch(kernel_of_much_memory, dim3(1), dim3(32), 1024, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(take_refused_launch(), "");
}

TEST(Launch, AfterAFaultNamesNobody) {
  launch(faulty_kernel, dim3(1), dim3(32), 0, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
  launch(kernel_of_much_memory, dim3(1), dim3(32), 1024, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  EXPECT_EQ(take_refused_launch(), "");
  EXPECT_NE(emulation::take_fault(), "");
}

}  // namespace
}  // namespace headwater::kernels
