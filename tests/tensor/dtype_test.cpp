#include "headwater/tensor/dtype.h"

#include "headwater/tensor/device.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace headwater {
namespace {

float value_of(std::uint16_t bits) {
  bf16 x;
  x.bits = bits;
  return static_cast<float>(x);
}

TEST(DType, NamesAndSizes) {
  EXPECT_EQ(name_of(dtype_of<float>()), "f32");
  EXPECT_EQ(name_of(dtype_of<bf16>()), "bf16");
  EXPECT_EQ(name_of(dtype_of<double>()), "f64");
  EXPECT_EQ(name_of(dtype_of<std::int32_t>()), "i32");
  EXPECT_EQ(size_of(dtype_of<float>()), sizeof(float));
  EXPECT_EQ(size_of(dtype_of<bf16>()), sizeof(bf16));
  EXPECT_EQ(size_of(dtype_of<double>()), sizeof(double));
  EXPECT_EQ(size_of(dtype_of<std::int32_t>()), sizeof(std::int32_t));
}

TEST(Device, Names) {
  EXPECT_EQ(name_of(Device{}), "cpu");
  EXPECT_EQ(name_of(Device{Device::Kind::cuda, 3}), "cuda:3");
}

TEST(Bf16, EveryValueSurvivesTheWayToFloatAndBack) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = value_of(static_cast<std::uint16_t>(bits));
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(static_cast<float>(bf16(value)))) << bits;
    else
      EXPECT_EQ(bf16(value).bits, bits);
  }
}

// Between two neighbours the midpoint is rounded to the even one, and all other values to the nearer one.
TEST(Bf16, RoundsToNearestTiesToEven) {
  for (std::uint32_t low = 0; low < 0x7F80; ++low) {  // the last upper neighbour is infinity
    const std::uint32_t high = low + 1;
    const std::uint32_t even = low % 2 == 0 ? low : high;
    const std::uint32_t middle = (low << 16) + 0x8000;
    for (const std::uint32_t sign : {0U, 0x8000U}) {
      const auto rounded = [&](std::uint32_t u) { return bf16(std::bit_cast<float>(u | sign << 16)).bits; };
      ASSERT_EQ(rounded(middle), even | sign) << low;
      ASSERT_EQ(rounded(middle - 1), low | sign) << low;
      ASSERT_EQ(rounded(middle + 1), high | sign) << low;
      ASSERT_EQ(rounded((low << 16) + 1), low | sign) << low;
      ASSERT_EQ(rounded((high << 16) - 1), high | sign) << low;
    }
  }
}

// Compares with distances in double, in which every float and every midpoint is exact.
TEST(Bf16, ErrorIsAtMostHalfAStep) {
  for (std::uint32_t u = 0x00000001; u < 0x7F000000; u += 0x3E6D) {
    const float value = std::bit_cast<float>(u);
    const bf16 rounded(value);
    const double step = static_cast<double>(value_of(static_cast<std::uint16_t>((u >> 16) + 1))) -
                        value_of(static_cast<std::uint16_t>(u >> 16));
    ASSERT_LE(std::abs(static_cast<double>(static_cast<float>(rounded)) - value), step / 2) << u;
  }
}

TEST(Bf16, NanInfinityAndOverflow) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(static_cast<float>(bf16(infinity)), infinity);
  EXPECT_EQ(static_cast<float>(bf16(-infinity)), -infinity);
  EXPECT_EQ(static_cast<float>(bf16(std::numeric_limits<float>::max())), infinity);
  for (const std::uint32_t nan :
       {0x7F800001U, 0x7F80FFFFU, 0x7FFFFFFFU, 0xFF800001U, 0xFFFFFFFFU, 0x7FC00000U})
    EXPECT_TRUE(std::isnan(static_cast<float>(bf16(std::bit_cast<float>(nan))))) << nan;
}

}  // namespace
}  // namespace headwater
