#include "headwater/nn/mlp.h"

#include <utility>

namespace headwater {

Mlp::Mlp(UnitDescription& d, const Options& o, std::unique_ptr<Activation> activation)
    : activation_(std::move(activation)), input_(o.input), branch_(o.branch) {
  const bool gated = activation_->gated();
  d.share_out({"model.ffn_hidden_size", o.ffn});
  const Init normal{Init::Kind::normal, o.init_std};
  const std::string prefix = o.prefix + "mlp.";
  ParameterId gate;
  if (gated) gate = d.parameter(prefix + "gate.weight", {o.ffn, o.hidden}, normal, ParameterCut::along(0));
  const ParameterId up = d.parameter(prefix + "up.weight", {o.ffn, o.hidden}, normal, ParameterCut::along(0));
  if (gated) d.join(up);
  const std::string both = gated ? "gate_up" : "up";
  up_ = d.product("mlp." + both, gated ? gate : up, up);
  down_ = d.product("mlp.down", d.parameter(prefix + "down.weight", {o.hidden, o.ffn},
                                            {Init::Kind::normal, o.output_std}, ParameterCut::along(1)));

  const std::int64_t ffn = o.ffn / d.sharding().tensor, width = gated ? 2 * ffn : ffn;
  const Shape whole{d.tokens(), o.hidden}, local{d.local_tokens(), o.hidden};
  const DType c = d.compute();
  gathered_ = Gathered(d, "mlp_norm", o.hidden, d.trained(up_));
  d.keep_for_product(input_, up_);
  up_out_ = d.forward_tensor("mlp." + both, {d.tokens(), width}, c, Kept::until_input_gradient);
  activated_ =
      d.forward_tensor("mlp.activation", {d.tokens(), ffn}, c, d.kept_for(down_), Dropped::by_selective);
  if (d.tokens_are_cut()) d_branch_all_ = d.backward_tensor("mlp.d_branch.all", whole, c, d.kept_for(down_));
  d_activated_ = d.backward_tensor("mlp.d_activation", {d.tokens(), ffn}, c, Kept::scratch);
  d_up_ = d.backward_tensor("mlp.d_" + both, {d.tokens(), width}, c, d.kept_for(up_));
  d_input_ = d.backward_tensor("mlp.d_norm", whole, c, Kept::scratch);
  if (d.tokens_are_cut()) d_input_shard_ = d.backward_tensor("mlp.d_norm.shard", local, c, Kept::scratch);
}

void Mlp::activate(const BlockContext& context) const {
  const TensorView u = context.gather(context[input_], context[gathered_.all]);
  linear_forward(context, context.linear(up_), u, context[up_out_]);
  recompute(context);
}

TensorView Mlp::project(const BlockContext& context) const {
  linear_forward(context, context.linear(down_), context[activated_], context[branch_.partial]);
  return context.sum(context[branch_.partial], context[branch_.shard]);
}

void Mlp::recompute(const BlockContext& context) const {
  activation_->forward(context.backend, context[up_out_], context[activated_]);
}

TensorView Mlp::backward(const BlockContext& context, TensorView d_branch) const {
  linear_backward(context, context.linear(down_), context.gather(d_branch, context[d_branch_all_]),
                  context[activated_], context[d_activated_]);
  activation_->backward(context.backend, context[d_activated_], context[up_out_], context[d_up_]);
  linear_backward(context, context.linear(up_), context[d_up_],
                  context.gather_again(context[input_], gathered_.again), context[d_input_]);
  return context.sum(context[d_input_], context[d_input_shard_]);
}

}  // namespace headwater
