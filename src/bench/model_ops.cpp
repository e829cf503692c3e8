#include "model_ops.h"

#include "headwater/base/random.h"
#include "headwater/nn/model_units.h"
#include "headwater/nn/unit_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace headwater {
namespace {

// ---- what a row of the table says of an op

// Returns the shape that stands for the op in a table: that of its first operand, unless an overload below
// says it better.
template <class Op>
std::string shape_of(const Op& op) {
  std::string shape;
  Op::operands(op, [&](const char*, op::Use, const TensorView& operand) {
    if (shape.empty()) shape = to_string(operand.shape);
  });
  return shape;
}
std::string product(const TensorView& a, const TensorView& b) {
  return to_string(a.shape) + " x " + to_string(b.shape);
}
std::string shape_of(const op::Linear& o) { return product(o.x, o.w); }
std::string shape_of(const op::LinearInputGradient& o) { return product(o.dy, o.w); }
std::string shape_of(const op::LinearWeightGradient& o) { return product(o.dy, o.x); }
std::string shape_of(const op::Embedding& o) {
  return to_string(o.out.shape) + " of " + to_string(o.table.shape);
}
std::string shape_of(const op::EmbeddingBackward& o) {
  return to_string(o.d_out.shape) + " of " + to_string(o.d_table.shape);
}
std::string shape_of(const op::LfaTaps& o) { return to_string(o.out.shape); }
std::string shape_of(const op::LfaTapsNorm& o) { return shape_of(o.taps); }
std::string shape_of(const op::Swiglu& o) { return to_string(o.out.shape); }
std::string shape_of(const AttentionArguments& a) {
  return fmt::format("{} x {} tokens, {} heads of {}, {} of keys", a.samples, a.queries(), a.q.shape[1],
                     a.q.shape[2], a.k.shape[1]);
}
std::string shape_of(const op::Attention& o) { return shape_of(o.of); }
std::string shape_of(const op::AttentionBackward& o) { return shape_of(o.of); }

template <class Op>
double dropout_of(const Op& op) {
  if constexpr (requires { op.of.dropout; })
    return op.of.dropout.probability;
  else
    return 0.0;
}

// The tensor behind an operand, which may be a part of it.
const std::string& tensor_of(const TensorView& operand, const std::map<const void*, std::string>& names) {
  return std::prev(names.upper_bound(operand.data))->second;
}

template <class Op>
constexpr bool kIsProduct = std::is_same_v<Op, op::Linear> || std::is_same_v<Op, op::LinearInputGradient> ||
                            std::is_same_v<Op, op::LinearWeightGradient>;

// A product is known by its weight, other ops by the first tensor that they write.
template <class Op>
std::string name_in(const Op& op, const std::map<const void*, std::string>& names) {
  if constexpr (std::is_same_v<Op, op::LinearWeightGradient>) {
    return tensor_of(op.dw, names);
  } else if constexpr (kIsProduct<Op>) {
    return tensor_of(op.w, names);
  } else {
    std::string name;
    Op::operands(op, [&](const char*, op::Use use, const TensorView& operand) {
      if (name.empty() && operand && use != op::Use::read) name = tensor_of(operand, names);
    });
    return name;
  }
}

// ---- the list

class Collector {
 public:
  void add(const AnyOp& any, double calls, const std::map<const void*, std::string>& names) {
    with_op(any, [&](const auto& op) {
      using Op = std::remove_cvref_t<decltype(op)>;
      ModelOp one{any, name_in(op, names), shape_of(op), calls};
      if (dropout_of(op) > 0.0) one.what = fmt::format("dropout {:g}", dropout_of(op));
      const auto same = [&](const ModelOp& other) {
        return std::string_view(name_of(other.op)) == name_of(any) && other.shape == one.shape &&
               bytes_of(other.op) == bytes_of(any) && (!kIsProduct<Op> || other.what == one.what) &&
               (dropout_of(op) > 0.0) == other.what.starts_with("dropout");
      };
      if (const auto known = std::ranges::find_if(ops_, same); known != ops_.end())
        known->calls += calls;
      else
        ops_.push_back(std::move(one));
    });
  }

  // Names are left to products and to ops of which there are several, the word of dropout to those that have
  // it.
  std::vector<ModelOp> take() {
    for (ModelOp& one : ops_) {
      bool product = false;
      with_op(one.op, [&](const auto& op) { product = kIsProduct<std::remove_cvref_t<decltype(op)>>; });
      const auto count = std::ranges::count_if(
          ops_, [&](const ModelOp& other) { return std::strcmp(name_of(other.op), name_of(one.op)) == 0; });
      if (!product && count == 1 && !one.what.starts_with("dropout")) one.what.clear();
    }
    return std::move(ops_);
  }

 private:
  std::vector<ModelOp> ops_;
};

void add_pass(const PassRecord& pass, double calls, const std::map<const void*, std::string>& names,
              Collector& collector) {
  for (const AnyOp& any : pass.ops) {
    collector.add(any, calls, names);
  }
}

// ---- operands

// The numbers of a step, at its end.
TensorView step_scalars(Operands& operands, double targets) {
  std::array<double, kStepScalars> values{};
  const auto at = [&](StepScalar which) -> double& { return values[static_cast<std::size_t>(which)]; };
  at(StepScalar::targets) = targets;
  at(StepScalar::learning_rate) = 1e-4;
  at(StepScalar::updates) = at(StepScalar::clip_factor) = at(StepScalar::apply) = 1.0;
  return operands.take_copy(TensorView(values.data(), DType::f64, {kStepScalars}));
}

// Returns the statistics of rows whose logits are as large as operands are: the gradient takes the place of
// the logits, and is taken for them by the next call.
TensorView softmax_statistics(Operands& operands, const TensorView& like, double vocabulary) {
  std::vector<float> host;
  for (std::int64_t row = 0; row < like.rows(); ++row)
    host.insert(host.end(), {0.125F, static_cast<float>(vocabulary), 0.0F});
  return operands.take_copy(TensorView(host.data(), DType::f32, like.shape));
}

// Turns that change no lengths.
TensorView turns(Operands& operands, const TensorView& like) {
  std::vector<float> host(static_cast<std::size_t>(like.elements()));
  for (std::size_t i = 0; i < host.size(); ++i) host[i] = i % 2 == 0 ? 0.6F : 0.8F;
  return operands.take_copy(TensorView(host.data(), DType::f32, like.shape));
}

// Random numbers in a block as long as the view's rows and gaps.
TensorView numbers(Operands& operands, const TensorView& like, bool positive) {
  const Shape block{like.rows() * std::max(like.row_stride, like.columns())};
  TensorView view = positive ? operands.take_positive(like.dtype, block) : operands.take(like.dtype, block);
  view.shape = like.shape;
  view.row_stride = like.row_stride;
  return view;
}

// By what ops call their operands (backend/ops.h).
TensorView operand_for(const std::string& name, op::Use use, const TensorView& like, Operands& operands,
                       const ModelSpec& model, BatchShape batch) {
  const auto integers = [&](auto value) { return operands.take_integers(like.shape, value); };
  if (name == "tokens" || name == "labels")
    return integers([&, key = derive(RandomKey{2}, "tokens")](std::int64_t i) {
      return static_cast<std::int32_t>(uniform(key, static_cast<std::uint64_t>(i)) *
                                       static_cast<double>(model.vocabulary));
    });
  if (name == "start")
    return integers(
        [&](std::int64_t t) { return static_cast<std::int32_t>(t / batch.sequence * batch.sequence); });
  if (name == "position")
    return integers([&](std::int64_t t) { return static_cast<std::int32_t>(t % batch.sequence); });
  if (name == "keys") return integers([](std::int64_t i) { return static_cast<std::int32_t>(i + 1); });
  if (name == "table" && use == op::Use::read && like.shape.rank() == 3) return turns(operands, like);
  if (name == "scalars") return step_scalars(operands, static_cast<double>(batch.tokens()));
  if (name == "statistics" && use == op::Use::read)
    return softmax_statistics(operands, like, static_cast<double>(model.vocabulary));
  return numbers(operands, like, name == "rstd" || name == "second_moment");
}

}  // namespace

std::vector<ModelOp> model_ops(const ModelSpec& model, BatchShape batch, Precision precision,
                               Device::Kind device) {
  Collector collector;
  std::int64_t largest = 0;
  for (int unit = 0; unit < model.units(); ++unit) {
    const UnitRecord record =
        record_unit({.model = model, .unit = unit, .batch = batch, .precision = precision, .device = device});
    for (const PassRecord* pass : {&record.forward, &record.input_gradient, &record.weight_gradient})
      add_pass(*pass, 1.0, record.names, collector);
  }
  for (const ParameterSpec& spec : parameters(model))
    largest = std::max(largest, parameter_shard(spec, {}, 0).local.elements());
  const UnitRecord update = record_update(largest, precision);
  add_pass(update.forward, 1.0, update.names, collector);

  std::vector<ModelOp> ops = collector.take();
  std::vector<ModelOp> all;
  for (const ModelOp& one : ops) {
    if (one.what.starts_with("dropout")) {
      ModelOp without = one;
      without.what.clear();
      without.calls = 0.0;
      with_op(without.op, [](auto& op) {
        if constexpr (requires { op.of.dropout; }) op.of.dropout = {};
      });
      all.push_back(std::move(without));
    }
    all.push_back(one);
  }
  return all;
}

AnyOp with_operands(const AnyOp& op, Operands& operands, const ModelSpec& model, BatchShape batch) {
  AnyOp placed = op;
  with_op(placed, [&](auto& placed_op) {
    using Op = std::remove_cvref_t<decltype(placed_op)>;
    // Operands of the recorded op that begin at one address are one.
    std::map<void*, TensorView> known;
    Op::operands(placed_op, [&](const char* name, op::Use use, TensorView& operand) {
      if (!operand) return;
      const auto [found, is_new] = known.try_emplace(operand.data);
      if (is_new) found->second = operand_for(name, use, operand, operands, model, batch);
      operand.data = found->second.data;
      operand.device = found->second.device;
    });
  });
  return placed;
}

}  // namespace headwater
