#include "headwater/nn/layer.h"

#include "headwater/base/error.h"

#include <algorithm>
#include <cmath>

namespace headwater {
namespace {

// Dropout's places in a layer; attention has place 0.
constexpr int kAttentionBranch = 1, kMlpBranch = 2;

std::string prefix_of(const UnitSite& site) { return layer_prefix(site.unit - 1); }

BranchTensors branch_tensors(UnitDescription& d, std::int64_t hidden) {
  BranchTensors branch;
  branch.partial = d.forward_tensor("branch", {d.tokens(), hidden}, d.compute(), Kept::scratch);
  if (d.tokens_are_cut())
    branch.shard = d.forward_tensor("branch.shard", {d.local_tokens(), hidden}, d.compute(), Kept::scratch);
  return branch;
}

Norm norm_of(UnitDescription& d, const UnitSite& site, const LayerSpec& layer, const std::string& name) {
  return make_norm(d, layer.norm,
                   {.parameter = prefix_of(site) + name,
                    .name = name,
                    .out = name + ".out",
                    .columns = layer.hidden,
                    .epsilon = layer.norm_epsilon});
}

// Projections into the residual stream start with N(0, std / √(2L)), the others with N(0, std).
double output_std(const ModelSpec& model) {
  return model.init_std / std::sqrt(2.0 * static_cast<double>(model.layers.size()));
}

std::unique_ptr<Positions> positions_of(UnitDescription& d, const ModelSpec& model, const LayerSpec& layer) {
  const std::int64_t positions =
      d.cached_tokens() > 0 ? d.cached_tokens() : std::max(model.max_positions, d.batch().sequence);
  return std::make_unique<RotaryPositions>(d, layer.head_dim, layer.rotary_base, positions);
}

Attention attention_of(UnitDescription& d, const UnitSite& site, const LayerSpec& layer, TensorId input,
                       BranchTensors branch) {
  Attention::share_out_heads(d, layer.heads, layer.kv_heads);
  std::unique_ptr<Filter> filter = make_filter(d, layer, prefix_of(site), input);
  return Attention(d,
                   {.prefix = prefix_of(site),
                    .hidden = layer.hidden,
                    .heads = layer.heads,
                    .kv_heads = layer.kv_heads,
                    .head_dim = layer.head_dim,
                    .dropout = layer.attention_dropout,
                    .init_std = site.model.init_std,
                    .output_std = output_std(site.model),
                    .input = input,
                    .branch = branch},
                   std::move(filter), positions_of(d, site.model, layer));
}

Mlp mlp_of(UnitDescription& d, const UnitSite& site, const LayerSpec& layer, TensorId input,
           BranchTensors branch) {
  return Mlp(d,
             {.prefix = prefix_of(site),
              .hidden = layer.hidden,
              .ffn = layer.ffn,
              .init_std = site.model.init_std,
              .output_std = output_std(site.model),
              .input = input,
              .branch = branch},
             make_activation(layer.mlp));
}

}  // namespace

Layer::Layer(const UnitSite& site)
    : Layer(site, site.model.layers.at(static_cast<std::size_t>(site.unit) - 1)) {}

Layer::Layer(const UnitSite& site, const LayerSpec& layer)
    : description_(site),
      dropout_(layer.hidden_dropout),
      branch_(branch_tensors(description_, layer.hidden)),
      input_(description_.input_tensor(layer.hidden)),
      attention_norm_(norm_of(description_, site, layer, "attention_norm")),
      attention_(attention_of(description_, site, layer, attention_norm_.out(), branch_)),
      middle_(description_.forward_tensor("middle", {description_.local_tokens(), layer.hidden},
                                          description_.compute(), Kept::until_input_gradient)),
      mlp_norm_(norm_of(description_, site, layer, "mlp_norm")),
      mlp_(mlp_of(description_, site, layer, mlp_norm_.out(), branch_)) {
  // The gradient of the residual stream arrives in, and leaves by, the caller's tensors. Without dropout, and
  // where tokens are whole, it is also the gradient of the branches, which their last products' weight
  // gradients need, where those are trained.
  UnitDescription& d = description_;
  HW_CHECK(layer.hidden == site.model.hidden, "unit {} is {} wide in a residual stream of {}", d.unit(),
           layer.hidden, site.model.hidden);
  const bool cut = d.tokens_are_cut(), branch_is_stream = dropout_ == 0.0 && !cut;
  const Shape local{d.local_tokens(), layer.hidden};
  const ProductId down = mlp_.output(), o = attention_.output();
  const auto kept = [&](ProductId product) { return cut ? Kept::scratch : d.kept_for(product); };
  if (dropout_ > 0.0) {
    d.reads(BatchArray::dropout_keys);
    mlp_d_branch_ = d.backward_tensor("mlp.d_branch", local, d.compute(), kept(down));
    attention_d_branch_ = d.backward_tensor("attention.d_branch", local, d.compute(), kept(o));
  }
  if (branch_is_stream && d.trained(down) && !site.receives_gradient)
    d_out_ = d.backward_tensor("d_out", local, d.compute(), Kept::between_gradients);
  d_middle_ =
      d.backward_tensor("d_middle", local, d.compute(), branch_is_stream ? d.kept_for(o) : Kept::scratch);
}

Dropout Layer::dropout(const BlockContext& context, int place) const {
  return context.dropout_at(dropout_, description_.unit(), place);
}

void Layer::forward(const BlockContext& context, TensorView input, TensorView out) const {
  forward_to_activation(context, input);
  context.backend.run(op::ResidualAdd{.branch = mlp_.project(context),
                                      .x = context[middle_],
                                      .dropout = dropout(context, kMlpBranch),
                                      .out = out});
}

void Layer::forward_to_activation(const BlockContext& context, TensorView input) const {
  attention_norm_.forward(context, input);
  context.backend.run(op::ResidualNorm{.sum = {.branch = attention_.forward(context),
                                               .x = input,
                                               .dropout = dropout(context, kAttentionBranch),
                                               .out = context[middle_]},
                                       .norm = mlp_norm_.arguments(context)});
  mlp_.activate(context);
}

void Layer::recompute(const BlockContext& context, TensorView input, Recompute how) const {
  if (how == Recompute::full) return forward_to_activation(context, input);
  attention_norm_.forward(context, input);
  attention_.recompute(context);
  mlp_norm_.forward(context, context[middle_]);
  mlp_.recompute(context);
}

void Layer::backward(const BlockContext& context, TensorView input, TensorView d_out,
                     TensorView d_input) const {
  // The gradient of a branch is the residual stream's, but for dropped elements.
  const auto through_dropout = [&](int place, TensorView d, TensorView d_branch) {
    const Dropout mask = dropout(context, place);
    if (!mask.on()) return d;
    context.backend.run(op::DropoutBackward{.d_out = d, .dropout = mask, .d_branch = d_branch});
    return d_branch;
  };

  const TensorView d_middle = context[d_middle_];
  const TensorView d_mlp = mlp_.backward(context, through_dropout(kMlpBranch, d_out, context[mlp_d_branch_]));
  mlp_norm_.backward(context, d_mlp, context[middle_], d_out, d_middle);
  const TensorView d_attention =
      attention_.backward(context, through_dropout(kAttentionBranch, d_middle, context[attention_d_branch_]));
  attention_norm_.backward(context, d_attention, input, d_middle, d_input);
}

}  // namespace headwater
