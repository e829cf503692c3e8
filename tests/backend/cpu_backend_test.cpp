// What the CPU backend promises beyond the values of its ops: stated workspace, the same bits in every run,
// numbers that are not finite reaching the loss, an exponential exact enough for f32.

#include "headwater/backend/cpu_backend.h"
#include "src/backend/cpu/vector_math.h"
#include "tests/backend/op_cases.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

namespace headwater {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// A backend with a workspace of so many bytes, to the byte: the address sanitizer watches its end.
struct CpuWithWorkspace {
  std::vector<std::int32_t> memory;
  std::unique_ptr<Backend> ops;

  CpuWithWorkspace(const CpuOptions& options, std::int64_t bytes)
      : memory(static_cast<std::size_t>(bytes) / 4), ops(make_cpu_backend(options)) {
    ops->use_workspace(TensorView(memory.data(), DType::i32, {static_cast<std::int64_t>(memory.size())}));
  }
};

template <class T>
struct Array {
  std::vector<T> values;
  Shape shape;

  explicit Array(Shape dims, T value = T())
      : values(static_cast<std::size_t>(dims.elements()), value), shape(dims) {}
  operator TensorView() { return {values.data(), dtype_of<T>(), shape}; }
};

// Calls run(op) with every op that takes scratch, on two samples of 150 tokens.
template <class Run>
void for_ops_with_scratch(std::int64_t head_dim, const Run& run) {
  const std::int64_t samples = 2, sequence = 150, tokens = samples * sequence, hidden = 4 * head_dim;
  const Shape q_shape{tokens, 4, head_dim}, k_shape{tokens, 2, head_dim};
  Array<bf16> q(q_shape), k(k_shape), v(k_shape), out(q_shape), dq(q_shape), dk(k_shape), dv(k_shape);
  Array<float> lse({tokens, 4});
  Array<std::int32_t> start({tokens});
  for (std::int64_t t = 0; t < tokens; ++t)
    start.values[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(t / sequence * sequence);
  AttentionArguments args;
  args.q = q;
  args.k = k;
  args.v = v;
  args.samples = samples;
  args.borders = {start, 0};
  run(op::Attention{.of = args, .out = out, .lse = lse});
  run(op::AttentionBackward{.of = args, .out = out, .lse = lse, .d_out = out, .dq = dq, .dk = dk, .dv = dv});

  Array<bf16> x({tokens, hidden}), dx({tokens, hidden}), gain({hidden}), products({tokens, 2 * hidden});
  Array<float> rstd({tokens}), d_gain({hidden});
  run(op::NormBackward{.dy = x, .x = x, .dx = dx, .norm = {.gain = gain, .rstd = rstd, .d_gain = d_gain}});
  run(op::LfaTapsBackward{
      .d_out = x, .borders = {start, 0}, .samples = samples, .d_products = products, .d_bias = d_gain});

  Array<bf16> w({hidden, hidden}, bf16(1.0F));
  run(op::Linear{.x = x, .w = w, .y = dx});
  Array<double> sum({1});
  run(op::AddSquaredNorm{.x = d_gain, .sum = sum});
}

TEST(CpuWorkspace, TheStatedNumberOfBytesIsEnoughForEveryOp) {
  for (const std::int64_t head_dim : {8, 20, 256})
    for (const int threads : {1, 3})
      for_ops_with_scratch(head_dim, [&](const auto& op) {
        const CpuWithWorkspace cpu({threads, true}, op.scratch({Device::Kind::cpu, threads}));
        cpu.ops->run(op);
      });
}

TEST(CpuWorkspace, AnOpThatHasTooLittleSaysSo) {
  Array<float> x({5, 100}, 1.0F), gain({100}, 1.0F), rstd({5}, 1.0F), dx({5, 100}), d_gain({100});
  const op::NormBackward backward{
      .dy = x, .x = x, .dx = dx, .norm = {.gain = gain, .rstd = rstd, .d_gain = d_gain}};
  const std::int64_t bytes = backward.scratch({Device::Kind::cpu, 2});
  const CpuWithWorkspace enough({2, false}, bytes), little({2, false}, bytes - 4);
  enough.ops->run(backward);
  EXPECT_THROW(little.ops->run(backward), InternalError);
}

// Every op, twice, with threads: the same bits.
TEST(CpuBackend, GivesTheSameBitsInEveryRun) {
  const Precision precision{DType::bf16, DType::f32};
  const CpuWithWorkspace first({3, false}, 16 << 20), second({3, false}, 16 << 20);
  for (const testing::OpCases& op : testing::all_ops())
    for (const testing::OpCase& op_case : op.make(precision)) {
      const auto once = testing::run_on(*first.ops, op_case, precision);
      const auto again = testing::run_on(*second.ops, op_case, precision);
      for (std::size_t i = 0; i < once.size(); ++i)
        EXPECT_EQ(std::memcmp(once[i].data(), again[i].data(), once[i].size() * sizeof(double)), 0)
            << op_case.title() << ": " << op_case.operands[i].name;
    }
}

TEST(CpuBackend, NotANumberReachesTheLossAndStopsTheUpdate) {
  const CpuWithWorkspace cpu({2, false}, 1 << 20);
  constexpr std::int64_t kTokens = 70;  // two tiles of queries
  Array<float> q({kTokens, 1, 16}, 0.5F), kv({kTokens, 1, 16}, 0.5F), out({kTokens, 1, 16}),
      lse({kTokens, 1});
  Array<std::int32_t> start({kTokens});
  q.values[3 * 16 + 5] = kNaN;
  AttentionArguments args;
  args.q = q;
  args.k = args.v = kv;
  args.borders = {start, 0};
  cpu.ops->run(op::Attention{.of = args, .out = out, .lse = lse});
  for (std::int64_t t = 0; t < kTokens; ++t)
    EXPECT_EQ(std::isnan(out.values[static_cast<std::size_t>(16 * t + 5)]), t == 3) << t;

  Array<float> gates({1, 64}, 1.0F), activated({1, 32});
  gates.values[7] = kNaN;
  cpu.ops->run(op::Swiglu{.x = gates, .out = activated});
  EXPECT_TRUE(std::isnan(activated.values[7]));
  EXPECT_FALSE(std::isnan(activated.values[8]));

  Array<float> logits({1, 50}, 1.0F), statistics({1, 3});
  logits.values[9] = kNaN;
  Array<std::int32_t> label({1}, 4);
  Array<double> scalars({kStepScalars});
  const auto scalar = [&](StepScalar which) -> double& {
    return scalars.values[static_cast<std::size_t>(which)];
  };
  scalar(StepScalar::targets) = 1.0;
  cpu.ops->run(op::SoftmaxStatistics{
      .logits = logits, .labels = label, .first = 0, .valid = 50, .statistics = statistics});
  cpu.ops->run(op::CrossEntropyLoss{.labels = label, .statistics = statistics, .scalars = scalars});
  EXPECT_TRUE(std::isnan(scalar(StepScalar::loss_sum)));
  cpu.ops->run(op::DecideStep{.clip = 1.0, .scalars = scalars});
  EXPECT_EQ(scalar(StepScalar::apply), 0.0);
  EXPECT_EQ(scalar(StepScalar::updates), 0.0);
}

TEST(VectorMath, ExponentialIsWithinTwoUnitsInTheLastPlace) {
  double worst = 0.0;
  for (double x = -87.3; x < 0.7; x += 1.7e-5) {
    const auto argument = static_cast<float>(x);
    const double exact = std::exp(static_cast<double>(argument));
    const double unit = std::ldexp(1.0, std::ilogb(exact) - 23);
    worst = std::max(worst, std::abs(static_cast<double>(cpu::exp_nonpositive(argument)) - exact) / unit);
  }
  EXPECT_LT(worst, 2.0);
  EXPECT_EQ(cpu::exp_nonpositive(0.0F), 1.0F);
  EXPECT_EQ(cpu::exp_nonpositive(-100.0F), 0.0F);
  EXPECT_EQ(cpu::exp_nonpositive(-std::numeric_limits<float>::infinity()), 0.0F);
  EXPECT_TRUE(std::isnan(cpu::exp_nonpositive(kNaN)));
}

TEST(VectorMath, SigmoidHoldsOnBothSides) {
  for (double x = -100.0; x <= 100.0; x += 0.37) {
    const auto argument = static_cast<float>(x);
    const double exact = 1.0 / (1.0 + std::exp(-static_cast<double>(argument)));
    EXPECT_NEAR(cpu::sigmoid(argument), exact, 4e-7 * exact + 1e-37) << x;
  }
  EXPECT_TRUE(std::isnan(cpu::sigmoid(kNaN)));
}

TEST(MatmulSpeed, IsThatOfAMachine) {
  const double speed = measure_matmul_flops(DType::bf16, 1);
  EXPECT_GT(speed, 1e8);
  EXPECT_LT(speed, 1e15);
}

}  // namespace
}  // namespace headwater
