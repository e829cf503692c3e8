// The operands that bench ops gives each op: of the signs that the op needs, so that nothing which is timed
// is NaN or infinite, however often it is called.

#include "src/bench/model_ops.h"

#include "headwater/backend/make_backend.h"
#include "headwater/backend/step_scalar.h"
#include "headwater/backend/timed_backend.h"
#include "headwater/nn/unit_record.h"
#include "headwater/tensor/arena.h"
#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace headwater {
namespace {

constexpr Precision kPrecision{DType::f32, DType::f32};
constexpr BatchShape kBatch{2, 16};
constexpr int kCalls = 5;

std::int64_t operand_bytes(const ModelOp& op, const ModelSpec& model) {
  Operands counted;
  with_operands(op.op, counted, model, kBatch);
  return counted.taken();
}

// Everything that the op was given, where it reads f64 (of which it is given a few at the end) and where it
// reads f32. Integers are small, and finite as what they are not.
void expect_finite(const ModelOp& op, const std::byte* memory, std::int64_t bytes) {
  const std::string_view name = name_of(op.op);
  const bool has_scalars = name == "cross_entropy_backward" || name == "adamw" || name == "add_squared_norm";
  const std::int64_t last = bytes - (has_scalars ? kAlignment : 0);
  const auto* const floats = reinterpret_cast<const float*>(memory);
  for (std::int64_t i = 0; i < last / 4; ++i)
    ASSERT_TRUE(std::isfinite(floats[i])) << name << " " << op.what << ", word " << i;
  if (!has_scalars) return;
  const auto* const doubles = reinterpret_cast<const double*>(memory + last);
  for (std::int64_t i = 0; i < kStepScalars; ++i)
    ASSERT_TRUE(std::isfinite(doubles[i])) << name << ", scalar " << i;
}

void expect_all_stay_finite(const ModelSpec& model, Device device) {
  const std::unique_ptr<Backend> backend = make_backend({device});
  const std::int64_t workspace = op_workspace_bytes(
      {.model = model, .batch = kBatch, .precision = kPrecision, .device = device.kind}, true, 1);
  Arena arena(device);
  arena.reserve("workspace", workspace);
  backend->use_workspace(arena.take("workspace", DType::i32, {(workspace + 3) / 4}));
  Operands operands(*backend);
  int ops = 0;
  for (const ModelOp& op : model_ops(model, kBatch, kPrecision, device.kind)) {
    const std::int64_t bytes = operand_bytes(op, model);
    operands.reset(bytes + kAlignment);
    const TensorView begin = operands.take(DType::f32, {1});
    const AnyOp call = with_operands(op.op, operands, model, kBatch);
    for (int i = 0; i < kCalls; ++i) run(*backend, call);
    std::vector<std::byte> seen(static_cast<std::size_t>(bytes));
    backend->to_host(
        TensorView(static_cast<std::byte*>(begin.data) + kAlignment, DType::i32, {bytes / 4}, device),
        TensorView(seen.data(), DType::i32, {bytes / 4}));
    expect_finite(op, seen.data(), bytes);
    ++ops;
  }
  EXPECT_GT(ops, 40);
}

TEST(ModelOps, StayFinite) {
  static_assert(kStepScalars * sizeof(double) <= kAlignment);
  std::vector<Device> devices = {Device{}};
  if (built_with_cuda()) devices.push_back({Device::Kind::cuda, 0});
  for (const Device device : devices)
    for (const test::ModelOptions& options :
         {test::ModelOptions{.dropout = 0.1}, {.dropout = 0.1, .norm = "layernorm", .mlp = "gelu"}})
      expect_all_stay_finite(expand(test::small_model(options, kBatch.sequence)), device);
}

// Ops that are several functions go by the name of the one that the model computes.
TEST(ModelOps, AreNamedByWhatTheyCompute) {
  const auto names = [](const test::ModelOptions& options) {
    std::set<std::string> found;
    const ModelSpec model = expand(test::small_model(options, kBatch.sequence));
    for (const ModelOp& op : model_ops(model, kBatch, kPrecision, Device::Kind::cpu))
      found.insert(name_of(op.op));
    return found;
  };
  const std::set<std::string> yuan = names({}), other = names({.norm = "layernorm", .mlp = "gelu_tanh"});
  for (const char* name :
       {"rms_norm", "rms_norm_backward", "residual_rms_norm", "lfa_taps_rms_norm", "swiglu"})
    EXPECT_TRUE(yuan.contains(name) && !other.contains(name)) << name;
  for (const char* name : {"layer_norm", "layer_norm_backward", "residual_layer_norm", "lfa_taps_layer_norm",
                           "gelu_tanh", "gelu_tanh_backward"})
    EXPECT_TRUE(other.contains(name) && !yuan.contains(name)) << name;
}

}  // namespace
}  // namespace headwater
