#include "headwater/tensor/device_peak.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

cuda::DeviceDescription gpu(const char* name, int major, int minor, int multiprocessors = 132,
                            double hertz = 1.98e9) {
  return {name, "0000:1b:00.0", major, minor, multiprocessors, hertz};
}

TEST(DevicePeak, IsTheDataSheetsOfTheModuleAndNotOfItsFamily) {
  EXPECT_EQ(peak_of_gpu(gpu("NVIDIA H100 80GB HBM3", 9, 0), DType::bf16).flops, 989.4e12);
  EXPECT_EQ(peak_of_gpu(gpu("NVIDIA H200", 9, 0), DType::bf16).flops, 989.4e12);
  EXPECT_EQ(peak_of_gpu(gpu("NVIDIA H100 PCIe", 9, 0, 114, 1.755e9), DType::bf16).flops, 756.5e12);
  EXPECT_EQ(peak_of_gpu(gpu("NVIDIA A100-SXM4-80GB", 8, 0), DType::bf16).flops, 312e12);
  EXPECT_EQ(peak_of_gpu(gpu("NVIDIA A100-SXM4-80GB", 8, 0), DType::f32).flops, 19.5e12);
  EXPECT_EQ(peak_of_gpu(gpu("NVIDIA L4", 8, 9), DType::bf16).flops, 121e12);
  EXPECT_EQ(peak_of_gpu(gpu("NVIDIA B200", 10, 0), DType::bf16).flops, 2250e12);
  EXPECT_EQ(peak_of_gpu(gpu("NVIDIA H200", 9, 0), DType::bf16).source, "data sheet of NVIDIA H200");
}

// A part of a GPU has another name, and so have modules that were made for one customer.
TEST(DevicePeak, IsThatOfItsMultiprocessorsWhereTheNameIsNotKnown) {
  const DevicePeak part = peak_of_gpu(gpu("NVIDIA H200 MIG 1g.18gb", 9, 0, 16), DType::bf16);
  ASSERT_TRUE(part.flops);
  EXPECT_DOUBLE_EQ(*part.flops, 16 * 1.98e9 * 4096);
  EXPECT_EQ(part.source,
            "NVIDIA H200 MIG 1g.18gb, 16 multiprocessors x 1980 MHz at most x 4096 FLOPs a clock");
  EXPECT_DOUBLE_EQ(*peak_of_gpu(gpu("another", 8, 0, 108, 1.41e9), DType::bf16).flops, 108 * 1.41e9 * 2048);
  EXPECT_DOUBLE_EQ(*peak_of_gpu(gpu("another", 8, 9, 10, 2e9), DType::f32).flops, 10 * 2e9 * 256);
}

TEST(DevicePeak, IsNotGuessed) {
  for (const auto& [major, minor] : {std::pair(8, 9), std::pair(7, 5), std::pair(13, 0)}) {
    const DevicePeak none = peak_of_gpu(gpu("another", major, minor), DType::bf16);
    EXPECT_FALSE(none.flops);
    EXPECT_EQ(none.source, "no bf16 peak is known of another, compute capability " + std::to_string(major) +
                               "." + std::to_string(minor));
  }
}

}  // namespace
}  // namespace headwater
