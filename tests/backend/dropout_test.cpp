// The mask of dropout as a sample of chances: so many are dropped, neighbours independently, and the mean
// stays.

#include "headwater/backend/cpu_backend.h"
#include "headwater/base/random.h"

#include <gtest/gtest.h>

#include <cmath>

namespace headwater {
namespace {

TEST(Dropout, ProbabilitiesAreMultiplesOfA65536th) {
  const auto of = [](double probability) { return Dropout{probability, 0, {}}; };
  EXPECT_EQ(of(0.5).threshold(), 32768U);
  EXPECT_EQ(of(0.1).threshold(), 6554U);
  EXPECT_EQ(of(1e-12).threshold(), 1U);
  EXPECT_EQ(of(1.0 - 1e-12).threshold(), 65535U);
  EXPECT_EQ(of(0.25).scale(), 4.0 / 3.0);
  EXPECT_EQ(of(1.0 - 1e-12).scale(), 65536.0);
  EXPECT_FALSE(of(0.0).on());
}

// One row of ones; what is left of it.
std::vector<float> left_of_ones(double probability, std::int64_t count) {
  std::vector<std::int32_t> keys = {12345, -678};
  std::vector<float> ones(static_cast<std::size_t>(count), 1.0F), left(ones.size());
  const auto row = [&](std::vector<float>& values) {
    return TensorView(values.data(), DType::f32, {1, count});
  };
  make_cpu_backend({1, false})
      ->run(op::DropoutBackward{
          .d_out = row(ones),
          .dropout = {probability, 99, TensorView(keys.data(), DType::i32, {1, 2})},
          .d_branch = row(left),
      });
  return left;
}

TEST(Dropout, DropsAsManyAsItSays) {
  constexpr std::int64_t kCount = 1 << 20;
  for (const double probability : {0.001, 0.1, 0.5, 0.9}) {
    SCOPED_TRACE(probability);
    const std::vector<float> left = left_of_ones(probability, kCount);
    double kept = 0.0, both = 0.0, sum = 0.0;
    for (std::size_t i = 0; i < left.size(); i += 2) {  // elements of one random word
      kept += (left[i] != 0.0F) + (left[i + 1] != 0.0F);
      both += left[i] != 0.0F && left[i + 1] != 0.0F ? 1.0 : 0.0;
      sum += static_cast<double>(left[i]) + left[i + 1];
    }
    const double p = Dropout{probability, 0, {}}.threshold() * 0x1p-16, q = 1.0 - p;
    const auto deviations = [](double found, double chance, double draws) {
      return std::abs(found - chance * draws) / std::sqrt(chance * (1.0 - chance) * draws);
    };
    EXPECT_LT(deviations(kept, q, kCount), 4.0);
    EXPECT_LT(deviations(both, q * q, kCount / 2.0), 4.0);
    EXPECT_LT(std::abs(sum / kCount - 1.0), 4.0 * std::sqrt(p / q / kCount));
  }
}

}  // namespace
}  // namespace headwater
