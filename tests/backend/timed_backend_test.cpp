// A timed backend computes what its inner one does, and counts each op under its own name.

#include "headwater/backend/timed_backend.h"

#include "headwater/backend/cpu_backend.h"
#include "headwater/tensor/arena.h"
#include "tests/backend/op_cases.h"
#include "tests/reference/reference_backend.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace headwater::testing {
namespace {

TEST(TimedBackend, HandsEveryOpOnAndCountsItUnderItsName) {
  constexpr std::int64_t kWorkspace = 16 << 20;
  constexpr Precision kPrecision{DType::f32, DType::f32};
  TimedBackend backend(make_cpu_backend({1, false}));
  Arena arena(backend.device());
  arena.reserve("workspace", kWorkspace);
  backend.use_workspace(arena.take("workspace", DType::i32, {kWorkspace / 4}));
  backend.measure(true);
  for (const OpCases& cases : all_ops()) {
    std::map<std::string, std::int64_t> runs;
    for (const OpCase& op_case : cases.make(kPrecision)) {
      expect_same_as_reference(backend, op_case);
      ++runs[name_of(op_case.op)];
    }
    const std::map<std::string, OpTotals> totals = backend.take_totals();
    for (const auto& [name, count] : runs) {
      ASSERT_TRUE(totals.contains(name)) << name;
      const OpTotals& op = totals.at(name);
      EXPECT_EQ(op.calls, count) << name;
      EXPECT_GT(op.seconds, 0.0) << name;
      EXPECT_GT(op.bytes, 0.0) << name;
      const bool multiplies = name.starts_with("linear") || name.starts_with("attention");
      EXPECT_EQ(op.flops > 0.0, multiplies) << name;
    }
  }
  EXPECT_STREQ(op::name_of(op::Norm()), "rms_norm");
  EXPECT_STREQ(op::name_of(op::Add()), "add");
}

// Operands whose values do not matter.
class TimedBackendCounts : public ::testing::Test {
 protected:
  TimedBackendCounts() {
    arena_.reserve("operands", 16 << 20);
    backend_.measure(true);
  }
  TensorView tensor(Shape shape) { return arena_.take("operands", DType::f64, shape); }
  OpTotals only(const char* name) {
    const std::map<std::string, OpTotals> totals = backend_.take_totals();
    EXPECT_EQ(totals.size(), 1U);
    return totals.at(name);
  }

  Arena arena_{Device{}};
  TimedBackend backend_{std::make_unique<ReferenceBackend>()};
};

TEST_F(TimedBackendCounts, CountNothingUnlessMeasuring) {
  backend_.measure(false);
  backend_.run(op::Zero{tensor({3})});
  EXPECT_TRUE(backend_.take_totals().empty());
}

TEST(TimedBackend, CountsWithoutABackendOnOperandsThatDoNotExist) {
  const auto nowhere = [](Shape shape) {
    return TensorView(reinterpret_cast<void*>(kAlignment), DType::f64, shape);
  };
  TimedBackend counter;
  counter.run(op::Linear{.x = nowhere({5, 3}), .w = nowhere({7, 3}), .y = nowhere({5, 7})});
  const OpTotals totals = counter.take_totals().at("linear");
  EXPECT_EQ(totals.calls, 1);
  EXPECT_EQ(totals.flops, 2.0 * 5 * 3 * 7);
  EXPECT_EQ(totals.bytes, 8.0 * (5 * 3 + 7 * 3 + 5 * 7));
  EXPECT_EQ(totals.seconds, 0.0);
}

TEST_F(TimedBackendCounts, ProductsMultiplyEveryRowByEveryColumn) {
  const TensorView x = tensor({5, 3}), w = tensor({7, 3}), y = tensor({5, 7});
  backend_.run(op::Linear{.x = x, .w = w, .y = y});
  backend_.run(op::Linear{.x = x, .w = w, .y = y});
  OpTotals totals = only("linear");
  EXPECT_EQ(totals.calls, 2);
  EXPECT_EQ(totals.flops, 2 * 2.0 * 5 * 3 * 7);
  EXPECT_EQ(totals.bytes, 2 * 8.0 * (5 * 3 + 7 * 3 + 5 * 7));

  backend_.run(op::LinearInputGradient{.dy = y, .w = w, .dx = x, .accumulate = true});
  totals = only("linear_input_gradient");
  EXPECT_EQ(totals.flops, 2.0 * 5 * 3 * 7);
  EXPECT_EQ(totals.bytes, 8.0 * (5 * 7 + 7 * 3 + 2 * 5 * 3));

  backend_.run(op::LinearWeightGradient{.dy = y, .x = x, .dw = w});
  totals = only("linear_weight_gradient");
  EXPECT_EQ(totals.flops, 2.0 * 5 * 3 * 7);
  EXPECT_EQ(totals.bytes, 8.0 * (5 * 7 + 5 * 3 + 2 * 7 * 3));
}

TEST_F(TimedBackendCounts, AttentionMultipliesTheKeysInReach) {
  AttentionArguments args;
  args.samples = 2;
  args.q = tensor({2 * 3, 4, 6});
  args.k = tensor({2 * 3, 2, 6});
  args.v = tensor({2 * 3, 2, 6});
  args.borders.start = arena_.take("operands", DType::i32, {2 * 3});
  for (int t = 0; t < 6; ++t) args.borders.start.as<std::int32_t>()[t] = t / 3 * 3;
  backend_.run(op::Attention{.of = args, .out = tensor({6, 4, 6}), .lse = tensor({6, 4})});
  // Queries 0, 1, 2 meet 1, 2, 3 keys, in two products over 4 heads of 6 channels, in 2 samples.
  EXPECT_EQ(only("attention").flops, 2.0 * 2 * (1 + 2 + 3) * 4 * 6 * 2);
}

// Query by query, behind cached tokens and where keys end before a query's reach does.
TEST(AttentionArguments, AProductIsOfThePairsInReach) {
  const auto nowhere = [](Shape shape) { return TensorView(nullptr, DType::f32, shape); };
  for (const std::int64_t queries : {1, 2, 7})
    for (const std::int64_t keys : {1, 5, 7, 20})
      for (const std::int64_t offset : {0, 1, 13}) {
        AttentionArguments args;
        args.samples = 3;
        args.q = nowhere({3 * queries, 4, 6});
        args.k = nowhere({3 * keys, 2, 6});
        args.query_offset = offset;
        std::int64_t pairs = 0;
        for (std::int64_t i = 0; i < queries; ++i) pairs += std::min(keys, i + 1 + offset);
        EXPECT_EQ(args.product_flops(), 2.0 * static_cast<double>(pairs * 3 * 4 * 6))
            << queries << " queries, " << keys << " keys, offset " << offset;
      }
}

TEST_F(TimedBackendCounts, AWeightThatIsTheMasterItselfIsWrittenOnce) {
  op::AdamW adamw;
  adamw.master = tensor({10});
  adamw.gradient = tensor({10});
  adamw.first_moment = tensor({10});
  adamw.second_moment = tensor({10});
  adamw.weight = adamw.master;
  adamw.scalars = tensor({kStepScalars});
  backend_.run(adamw);
  EXPECT_EQ(only("adamw").bytes, 8.0 * 10 * (4 + 3));
  adamw.weight = tensor({10});
  backend_.run(adamw);
  EXPECT_EQ(only("adamw").bytes, 8.0 * 10 * (4 + 4));
}

TEST_F(TimedBackendCounts, EveryOperandIsReadOrWrittenOnceAndUpdatedOnesBoth) {
  op::ResidualAdd sum{.branch = tensor({6, 5}), .x = tensor({6, 5}), .dropout = {}, .out = tensor({6, 5})};
  backend_.run(sum);
  EXPECT_EQ(only("residual_add").bytes, 8.0 * 3 * 6 * 5);
  sum.dropout = {0.5, 1, arena_.take("operands", DType::i32, {2, 2})};
  backend_.run(sum);
  EXPECT_EQ(only("residual_add").bytes, 8.0 * 3 * 6 * 5 + 4.0 * 2 * 2);
  backend_.run(op::DecideStep{.clip = 1.0, .scalars = tensor({kStepScalars})});
  EXPECT_EQ(only("decide_step").bytes, 2 * 8.0 * kStepScalars);
}

TEST(OpTotals, TheFloorIsTheSlowerOfProductsAndMemory) {
  OpTotals totals;
  totals.flops = 100.0;
  totals.bytes = 30.0;
  EXPECT_EQ(totals.floor_seconds(50.0, 10.0), 3.0);
  EXPECT_EQ(totals.floor_seconds(20.0, 10.0), 5.0);
}

}  // namespace
}  // namespace headwater::testing
