// Every op refuses operands that do not fit, whatever the backend: each operand of each case is spoilt by
// turns, on a backend that does nothing.

#include "headwater/backend/timed_backend.h"
#include "tests/backend/op_cases.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <set>
#include <string>
#include <type_traits>

namespace headwater::testing {
namespace {

constexpr DType kDTypes[] = {DType::f32, DType::bf16, DType::f64, DType::i32};

// Whether the op drops elements; without dropout no backend looks at the keys.
template <class Op>
bool drops(const Op& o) {
  if constexpr (requires { o.dropout; }) return o.dropout.on();
  if constexpr (requires { o.sum.dropout; }) return o.sum.dropout.on();
  if constexpr (requires { o.of.dropout; }) return o.of.dropout.on();
  return false;
}

// "op.operand: how it was spoilt", of what an op takes all the same.
std::set<std::string> lawful() {
  std::set<std::string> all;
  const auto add = [&](std::initializer_list<const char*> operands, std::initializer_list<const char*> ways) {
    for (const char* operand : operands)
      for (const char* way : ways) all.insert(fmt::format("{}: {}", operand, way));
  };
  // It may be anything.
  add({"zero.x"}, {"a row more", "f32", "bf16", "f64", "i32"});
  // No other operand says how many tokens the vocabulary has, how many positions the table, how many elements
  // the gradient; shards and samples are counted by these operands, where their numbers come out even.
  add({"embedding.table", "embedding_backward.d_table", "rotary.table", "add_squared_norm.x",
       "combine_statistics.shards", "residual_add.keys", "residual_norm.keys", "dropout_backward.keys"},
      {"a row more"});
  // They are converted.
  add({"copy.from", "copy.to", "add.x", "add.y"}, {"f32", "bf16", "f64"});
  // They may be of the compute dtype or the accumulate dtype.
  add({"linear.y", "softmax_statistics.logits", "cross_entropy_backward.logits", "adamw.weight"},
      {"f32", "bf16"});
  add({"linear_input_gradient.dx"}, {"f32"});
  // With these in f32 the op is one of a run in f32, whose sums have the same dtype.
  add({"embedding_backward.d_out", "rotary.x"}, {"f32"});
  // With these in f64 it is one of the reference catalogue.
  add({"add_squared_norm.x", "cross_entropy_loss.statistics"}, {"f64"});
  return all;
}

// Every operand of every op, as "op.operand".
std::set<std::string> catalogue_operands() {
  std::set<std::string> all;
  const auto add = [&](const auto& op) {
    using Op = std::remove_cvref_t<decltype(op)>;
    Op::operands(op, [&](const char* operand, op::Use, const TensorView&) {
      all.insert(fmt::format("{}.{}", Op::kName, operand));
    });
  };
#define HEADWATER_ADD(Op) add(op::Op{});
  HEADWATER_OPS(HEADWATER_ADD)
#undef HEADWATER_ADD
  return all;
}

class OpChecks : public ::testing::Test {
 protected:
  template <class Op>
  void spoil_each_operand(const Op& op) {
    EXPECT_NO_THROW(nothing_.run(op));
    std::size_t operands = 0;
    Op::operands(op, [&](const char*, op::Use, const TensorView&) { ++operands; });
    for (std::size_t i = 0; i < operands; ++i) {
      spoil_operand(op, i, "a row more", [](TensorView& x) { x.shape = x.shape.with_first(x.rows() + 1); });
      for (const DType dtype : kDTypes)
        spoil_operand(op, i, std::string(name_of(dtype)), [&](TensorView& x) { x.dtype = dtype; });
    }
  }

  std::set<std::string> accepted_;  // of at least one case, as in lawful()
  std::set<std::string> tried_;     // of at least one case, as in catalogue_operands()

 private:
  template <class Op, class Spoil>
  void spoil_operand(Op op, std::size_t number, const std::string& how, const Spoil& spoil) {
    std::size_t i = 0;
    std::string name;
    bool differs = false;
    Op::operands(op, [&](const char* operand, op::Use, TensorView& x) {
      if (i++ != number) return;
      name = fmt::format("{}.{}", Op::kName, operand);
      if (!x || (operand == std::string("keys") && !drops(op))) return;
      const TensorView fits = x;
      spoil(x);
      differs = x.shape != fits.shape || x.dtype != fits.dtype;
    });
    if (!differs) return;
    tried_.insert(name);
    try {
      nothing_.run(op);
      accepted_.insert(name + ": " + how);
    } catch (const InternalError&) {
    }
  }

  TimedBackend nothing_;
};

TEST_F(OpChecks, RefuseOperandsThatDoNotFit) {
  for (const OpCases& cases : all_ops())
    for (const OpCase& op_case : cases.make({DType::bf16, DType::f32}))
      with_op(op_case.op, [&](const auto& op) { spoil_each_operand(op); });
  EXPECT_EQ(accepted_, lawful());
  EXPECT_EQ(tried_, catalogue_operands());
}

// A norm with one of them would be neither RMSNorm nor LayerNorm.
TEST(NormChecks, RefuseAMeanWithoutABiasAndABiasWithoutAMean) {
  const auto view = [](Shape shape) {
    return TensorView(reinterpret_cast<void*>(64), DType::f32, shape);  // nothing reads it
  };
  const TensorView x = view({3, 4}), row = view({4}), column = view({3});
  NormArguments norm{.gain = row, .y = x, .rstd = column};
  EXPECT_NO_THROW(norm.check(x));
  norm.mean = column;
  EXPECT_THROW(norm.check(x), InternalError);
  norm.bias = row;
  EXPECT_NO_THROW(norm.check(x));
  norm.mean = {};
  EXPECT_THROW(norm.check(x), InternalError);

  // Its backward may have a mean alone, where the bias is not trained.
  NormBackwardArguments backward{.gain = row, .rstd = column, .d_gain = row};
  EXPECT_NO_THROW(backward.check(x));
  backward.mean = column;
  EXPECT_NO_THROW(backward.check(x));
  backward.d_bias = row;
  EXPECT_NO_THROW(backward.check(x));
  backward.mean = {};
  EXPECT_THROW(backward.check(x), InternalError);
}

}  // namespace
}  // namespace headwater::testing
