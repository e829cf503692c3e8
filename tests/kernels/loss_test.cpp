// Cross-entropy over a shard of the vocabulary.

#include "matrix.h"

#include "headwater/backend/step_scalar.h"
#include "tests/reference/reference_backend.h"

#include <limits>

namespace headwater::kernels {
namespace {

struct LossCase {
  Size size;  // of the logits
  std::int64_t first, valid;
};
std::ostream& operator<<(std::ostream& out, const LossCase& c) {
  return out << c.size << ", first " << c.first << ", valid " << c.valid;
}

// Labels run over 0 … 99: in this shard, before it and after it; padding columns, none valid, and rows wider
// than a block's threads take at once.
constexpr LossCase kLossCases[] = {{{1, 1}, 0, 1},        {{7, 64}, 0, 64},      {{33, 65}, 10, 60},
                                   {{17, 72, 8}, 30, 61}, {{5, 7, 1}, 90, 7},    {{9, 100, 0, 1}, 0, 97},
                                   {{3, 4616}, 0, 4609},  {{2, 130}, 0, 130},    {{2, 8200}, 40, 8200},
                                   {{2, 530, 3}, 0, 520}, {{2, 17000}, 0, 16999}};

Integers labels_for(std::int64_t rows) {
  std::vector<std::int32_t> labels;
  for (std::int64_t row = 0; row < rows; ++row) {
    labels.push_back(row % 4 == 3 ? -1 : static_cast<std::int32_t>(row * 37 % 100));
  }
  return Integers(labels);
}

TEST(Kernels, CrossEntropy) {
  for_sizes(kLossCases, [](const LossCase& c, auto type) {
    using T = decltype(type);
    const Size& size = c.size;
    Matrix<T> logits(size, 1, 20.0);
    Integers labels = labels_for(size.rows);
    Matrix<float> statistics({size.rows, 3}, 0);
    constexpr double kTargets = 12.0;
    std::vector<double> scalars(kStepScalars, 0.0);
    scalars[static_cast<std::size_t>(StepScalar::targets)] = kTargets;
    scalars[static_cast<std::size_t>(StepScalar::loss_sum)] = 2.0;
    const TensorView scalars_view{scalars.data(), DType::f64, {kStepScalars}};
    DeviceArray<double> targets(std::vector<double>{kTargets}), loss(std::vector<double>{2.0});

    ReferenceBackend reference;
    reference.run(op::SoftmaxStatistics{logits.view(), labels.view(), c.first, c.valid, statistics.view()});
    softmax_statistics<T>(logits, labels.data(), c.first, c.valid, statistics.data(), size.rows, nullptr);
    statistics.expect(16.0 + std::sqrt(static_cast<double>(size.columns)));

    reference.run(op::CrossEntropyBackward{logits.view(), labels.view(), c.first, c.valid, statistics.view(),
                                           scalars_view});
    cross_entropy_loss(labels.data(), statistics.data(), loss.data(), size.rows, nullptr);
    EXPECT_NEAR(loss.host()[0], scalars[0], 1e-6 * std::abs(scalars[0]) + 1e-6);
    cross_entropy_backward<T>(logits, labels.data(), c.first, c.valid, statistics.data(), targets.data(),
                              size.rows, size.columns, nullptr);
    logits.expect(is_float(type) ? 40.0 : 1.1, is_float(type) ? 1.0 / kTargets : 0x1p-14);
  });
}

TEST(Kernels, StatisticsOfShardsCombine) {
  in_every_mode([] {
    for (const std::int64_t rows : {1, 7, 300}) {
      constexpr std::int64_t kShards = 3;
      Matrix<float> shards({kShards * rows, 3}, 1, 30.0), statistics({rows, 3}, 0);
      std::vector<double> values = shards.reference();
      for (std::size_t i = 1; i < values.size(); i += 3) values[i] = std::abs(values[i]) + 1.0;  // sums
      // The last shard of row 0 holds nothing but padding.
      const auto last = static_cast<std::size_t>(3 * (kShards - 1) * rows);
      values[last] = -std::numeric_limits<double>::infinity(), values[last + 1] = 0.0, values[last + 2] = 0.0;
      Matrix<float> all({kShards * rows, 3}, values);
      ReferenceBackend().run(op::CombineStatistics{all.view(), statistics.view()});
      combine_statistics(all.data(), kShards, statistics.data(), rows, nullptr);
      statistics.expect(40.0, 1.0);
    }
  });
}

TEST(Kernels, NotANumberStaysVisible) {
  in_every_mode([] {
    for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
      std::vector<double> values(3 * 40, 0.5);
      values[40 + 17] = bad;
      Matrix<float> logits({3, 40}, values);
      Integers labels({1, 2, 3});
      DeviceArray<float> statistics(9);
      DeviceArray<double> loss(std::vector<double>{0.0});
      softmax_statistics<float>(logits, labels.data(), 0, 40, statistics.data(), 3, nullptr);
      const std::vector<float> got = statistics.host();
      EXPECT_FLOAT_EQ(got[1], 40.0F);
      EXPECT_TRUE(std::isnan(got[4]));
      cross_entropy_loss(labels.data(), statistics.data(), loss.data(), 3, nullptr);
      EXPECT_TRUE(std::isnan(loss.host()[0]));
    }
  });
}

TEST(Kernels, ARowOfPaddingHasNoSum) {
  in_every_mode([] {
    Matrix<float> logits({2, 16}, 1);
    Integers labels({1, 2});
    DeviceArray<float> statistics(6);
    softmax_statistics<float>(logits, labels.data(), 0, 0, statistics.data(), 2, nullptr);
    const std::vector<float> got = statistics.host();
    EXPECT_EQ(got[0], -std::numeric_limits<float>::infinity());
    EXPECT_EQ(got[1], 0.0F);
    EXPECT_EQ(got[2], 0.0F);
  });
}

}  // namespace
}  // namespace headwater::kernels
