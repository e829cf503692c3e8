#include "headwater/nn/layer.h"

namespace headwater {
namespace {

std::string prefix_of(int unit) { return "layers." + std::to_string(unit - 1) + "."; }

}  // namespace

Layer::Tensors::Tensors(const NamedTensors& named)
    : input(named.at("input")),
      rstd1(named.at("attention_norm.rstd")),
      normed1(named.at("attention_norm.out")),
      middle(named.at("middle")),
      rstd2(named.at("mlp_norm.rstd")),
      normed2(named.at("mlp_norm.out")),
      d_out(named.find("d_out")),
      d_middle(named.find("d_middle")),
      attention_d_branch(named.find("attention.d_branch")),
      mlp_d_branch(named.find("mlp.d_branch")),
      attention(named),
      mlp(named) {}

Layer::Layer(const LayerSpec& layer, int unit, ParameterStore& store, TensorView rotary_table,
             const Sharding& sharding)
    : layer_(layer),
      unit_(unit),
      gain1_(store.weight(prefix_of(unit) + "attention_norm.weight")),
      d_gain1_(store.gradient(prefix_of(unit) + "attention_norm.weight")),
      gain2_(store.weight(prefix_of(unit) + "mlp_norm.weight")),
      d_gain2_(store.gradient(prefix_of(unit) + "mlp_norm.weight")),
      attention_(layer, unit, prefix_of(unit), store, rotary_table, sharding),
      mlp_(prefix_of(unit), store) {}

NormArguments Layer::norm1(const Tensors& t) const {
  return {.gain = gain1_, .epsilon = layer_.norm_epsilon, .y = t.normed1, .rstd = t.rstd1};
}

NormArguments Layer::norm2(const Tensors& t) const {
  return {.gain = gain2_, .epsilon = layer_.norm_epsilon, .y = t.normed2, .rstd = t.rstd2};
}

void Layer::forward(const BlockContext& context, const Tensors& t, TensorView out) const {
  forward_to_activation(context, t);
  const TensorView transformed = mlp_.project(context, t.mlp);
  context.backend.run(op::ResidualAdd{.branch = transformed,
                                      .x = t.middle,
                                      .dropout = context.dropout_at(layer_.hidden_dropout, unit_, 2),
                                      .out = out});
}

void Layer::forward_to_activation(const BlockContext& context, const Tensors& t) const {
  Backend& b = context.backend;
  b.run(op::Norm{.x = t.input, .norm = norm1(t)});
  const TensorView mixed = attention_.forward(context, t.attention, t.normed1);
  b.run(op::ResidualNorm{.sum = {.branch = mixed,
                                 .x = t.input,
                                 .dropout = context.dropout_at(layer_.hidden_dropout, unit_, 1),
                                 .out = t.middle},
                         .norm = norm2(t)});
  mlp_.activate(context, t.mlp, t.normed2);
}

void Layer::recompute(const BlockContext& context, const Tensors& t, Recompute how) const {
  if (how == Recompute::full) return forward_to_activation(context, t);
  Backend& b = context.backend;
  b.run(op::Norm{.x = t.input, .norm = norm1(t)});
  attention_.recompute(context, t.attention);
  b.run(op::Norm{.x = t.middle, .norm = norm2(t)});
  mlp_.recompute(context, t.mlp);
}

void Layer::backward(const BlockContext& context, const Tensors& t, TensorView d_out,
                     TensorView d_input) const {
  Backend& b = context.backend;
  // The gradient of a branch is the residual stream's, but for dropped elements.
  const auto through_dropout = [&](int place, TensorView d, TensorView d_branch) {
    const Dropout dropout = context.dropout_at(layer_.hidden_dropout, unit_, place);
    if (!dropout.on()) return d;
    b.run(op::DropoutBackward{.d_out = d, .dropout = dropout, .d_branch = d_branch});
    return d_branch;
  };

  const TensorView d_normed2 =
      mlp_.backward(context, t.mlp, t.normed2, through_dropout(2, d_out, t.mlp_d_branch));
  b.run(op::NormBackward{.dy = d_normed2,
                         .x = t.middle,
                         .gain = gain2_,
                         .rstd = t.rstd2,
                         .addend = d_out,
                         .dx = t.d_middle,
                         .d_gain = d_gain2_});

  const TensorView d_normed1 = attention_.backward(context, t.attention, t.normed1,
                                                   through_dropout(1, t.d_middle, t.attention_d_branch));
  b.run(op::NormBackward{.dy = d_normed1,
                         .x = t.input,
                         .gain = gain1_,
                         .rstd = t.rstd1,
                         .addend = t.d_middle,
                         .dx = d_input,
                         .d_gain = d_gain1_});
}

}  // namespace headwater
