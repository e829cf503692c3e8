// The end of a step: norm, decision, AdamW.

#include "matrix.h"

#include "headwater/backend/step_scalar.h"
#include "headwater/base/random.h"
#include "tests/reference/reference_backend.h"

#include <bit>
#include <limits>

namespace headwater::kernels {
namespace {

constexpr Size kVectors[] = {{1, 1}, {1, 7}, {1, 64}, {1, 65}, {1, 4097}, {1, 9000, 0, 1}};

// The scalars of a step, on the device and for the reference.
class Scalars {
 public:
  Scalars(std::initializer_list<std::pair<StepScalar, double>> values)
      : host_(kStepScalars, 0.0), device_(kStepScalars) {
    for (const auto& [which, value] : values) host_[static_cast<std::size_t>(which)] = value;
    EXPECT_EQ(cudaMemcpy(device_.data(), host_.data(), sizeof(double) * host_.size(), cudaMemcpyHostToDevice),
              cudaSuccess);
  }
  double* at(StepScalar which) const { return device_.data() + static_cast<int>(which); }
  StepScalars pointers() const {
    return {at(StepScalar::loss_sum),      at(StepScalar::norm_squared), at(StepScalar::targets),
            at(StepScalar::learning_rate), at(StepScalar::updates),      at(StepScalar::clip_factor),
            at(StepScalar::apply)};
  }
  TensorView view() { return {host_.data(), DType::f64, {kStepScalars}}; }
  void expect_equal() const {
    const std::vector<double> got = device_.host();
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (std::isnan(host_[i]))
        EXPECT_TRUE(std::isnan(got[i])) << "scalar " << i;
      else
        EXPECT_DOUBLE_EQ(got[i], host_[i]) << "scalar " << i;
    }
  }

 private:
  std::vector<double> host_;
  DeviceArray<double> device_;
};

TEST(Kernels, SquaredNorm) {
  in_every_mode([] {
    for (const Size& size : kVectors) {
      SCOPED_TRACE(::testing::Message() << size);
      Matrix<float> x(size, 1, 5.0);
      double expected = 3.0;
      ReferenceBackend().run(op::AddSquaredNorm{x.vector(), {&expected, DType::f64, {1}}});
      DeviceArray<double> sum(std::vector<double>{3.0});
      DeviceArray<double> workspace(static_cast<std::size_t>(squared_norm_bytes(size.columns)) /
                                    sizeof(double));
      add_squared_norm(x.data(), sum.data(), workspace.data(), size.columns, nullptr);
      EXPECT_NEAR(sum.host()[0], expected, 1e-13 * expected);
    }
  });
}

TEST(Kernels, DecideStep) {
  in_every_mode([] {
    const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
    for (const double norm_squared : {0.0, 0.25, 9.0, nan, infinity}) {
      for (const double loss : {1.5, nan, -infinity}) {
        for (const double clip : {0.0, 1.0}) {
          Scalars scalars{{StepScalar::loss_sum, loss},
                          {StepScalar::norm_squared, norm_squared},
                          {StepScalar::updates, 4.0}};
          ReferenceBackend().run(op::DecideStep{clip, scalars.view()});
          decide_step(clip, scalars.pointers(), nullptr);
          scalars.expect_equal();
        }
      }
    }
  });
}

// The operands of an update.
template <class T>
struct Shard {
  Matrix<float> master, gradient, first_moment, second_moment;
  Matrix<T> weight;
  AdamW<T> args;

  explicit Shard(Size size)
      : master(size, 1),
        gradient(size, 2),
        first_moment(size, 3, 0.1),
        second_moment(size, squares(size)),
        weight(size, 5) {
    args = {master.data(),
            gradient.data(),
            first_moment.data(),
            second_moment.data(),
            weight.data(),
            size.columns,
            0.9,
            0.95,
            1e-8,
            0.1};
  }
  static std::vector<double> squares(const Size& size) {
    std::uint64_t state = 4;
    std::vector<double> values(static_cast<std::size_t>(size.columns));
    for (double& value : values) value = 0.01 * (random_value(state) + 1.0);
    return values;
  }
};

TEST(Kernels, AdamW) {
  for_sizes(kVectors, [](const Size& size, auto type) {
    using T = decltype(type);
    for (const double updates : {1.0, 300.0}) {
      for (const double apply : {1.0, 0.0}) {
        Scalars scalars{{StepScalar::learning_rate, 0.01},
                        {StepScalar::updates, updates},
                        {StepScalar::clip_factor, 0.5},
                        {StepScalar::apply, apply}};
        Shard<T> shard(size);
        ReferenceBackend().run(op::AdamW{.master = shard.master.vector(),
                                         .gradient = shard.gradient.vector(),
                                         .first_moment = shard.first_moment.vector(),
                                         .second_moment = shard.second_moment.vector(),
                                         .weight = shard.weight.vector(),
                                         .beta1 = 0.9,
                                         .beta2 = 0.95,
                                         .epsilon = 1e-8,
                                         .weight_decay = 0.1,
                                         .scalars = scalars.view()});
        adamw<T>(shard.args, scalars.pointers(), nullptr);
        shard.master.expect(4.0, 0.1);
        shard.first_moment.expect(4.0, 0.1);
        shard.second_moment.expect(4.0);
        shard.weight.expect(is_float(type) ? 4.0 : 1.01, 0.1);
      }
    }
  });
}

TEST(Kernels, AdamWWhereTheMasterIsTheWeight) {
  in_every_mode([] {
    const Size size{1, 70};
    Shard<float> shard(size), other(size);
    Scalars scalars{{StepScalar::learning_rate, 0.01},
                    {StepScalar::updates, 1.0},
                    {StepScalar::clip_factor, 1.0},
                    {StepScalar::apply, 1.0}};
    adamw<float>(other.args, scalars.pointers(), nullptr);
    shard.args.weight = shard.args.master;
    adamw<float>(shard.args, scalars.pointers(), nullptr);
    EXPECT_EQ(shard.master.host(), other.master.host());
    EXPECT_EQ(other.weight.host(), other.master.host());
  });
}

// Element e is rounded up where the lower half of its word of Philox, added to the bits that are cut off,
// carries; and a shard that is cut elsewhere gets the same bits. `whole` says where the shard lies in its
// parameter.
void expect_philox(const StochasticRounding& whole) {
  in_every_mode([&whole] {
    constexpr std::int64_t kCount = 90;
    for (const std::int64_t cut : {0, 4, 33}) {  // so many elements come in a call of their own
      Shard<bf16> shard({1, kCount});
      Scalars scalars{{StepScalar::learning_rate, 0.01},
                      {StepScalar::updates, 7.0},
                      {StepScalar::clip_factor, 1.0},
                      {StepScalar::apply, 1.0}};
      for (const auto& [begin, end] : {std::pair{std::int64_t{0}, cut}, std::pair{cut, kCount}}) {
        AdamW<bf16> part = shard.args;
        part.master += begin, part.gradient += begin, part.first_moment += begin, part.second_moment += begin;
        part.weight += begin, part.n = end - begin;
        part.rounding = whole;
        part.rounding.begin += begin;
        adamw<bf16>(part, scalars.pointers(), nullptr);
      }
      const std::vector<float> master = shard.master.host();
      const std::vector<bf16> weight = shard.weight.host();
      int up = 0;
      for (std::int64_t i = 0; i < kCount; ++i) {
        const std::int64_t n = whole.begin + i;
        const auto element = static_cast<std::uint64_t>(
            whole.first + (whole.columns == 0 ? n : n / whole.columns * whole.row + n % whole.columns));
        const std::uint32_t word = philox(RandomKey{whole.key}, element / 4, 7)[element % 4];
        const auto bits = std::bit_cast<std::uint32_t>(master[static_cast<std::size_t>(i)]);
        const std::uint32_t expected = (bits + (word & 0xffffU)) & 0xffff0000U;
        ASSERT_EQ(std::bit_cast<std::uint32_t>(static_cast<float>(weight[static_cast<std::size_t>(i)])),
                  expected)
            << i;
        up += expected > bits ? 1 : 0;
      }
      EXPECT_GT(up, kCount / 4);
      EXPECT_LT(up, 3 * kCount / 4);
    }
  });
}

TEST(Kernels, StochasticRoundingFollowsPhilox) {
  constexpr std::uint64_t kKey = 0xabcdef0123456789ULL;
  expect_philox({true, kKey, 1002, 0, 0, 0});
  expect_philox({true, kKey, 1000, 0, 0, 0});
  expect_philox({true, kKey, 8, 4, 12, 20});  // columns 4 to 15 of 20
  expect_philox({true, kKey, 3, 2, 10, 17});
}

}  // namespace
}  // namespace headwater::kernels
