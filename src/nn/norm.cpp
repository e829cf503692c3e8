#include "headwater/nn/norm.h"

namespace headwater {

Norm::Norm(UnitDescription& d, const NormOptions& options) : epsilon_(options.epsilon) {
  const ParameterCut cut{.split = {}, .sees_token_shard = d.tokens_are_cut()};
  const Shape columns{options.columns}, rows{d.local_tokens()};
  const auto statistic = [&](const char* name) {
    return d.forward_tensor(options.name + name, rows, d.accumulate(), Kept::until_input_gradient,
                            options.dropped);
  };
  gain_ = d.parameter(options.parameter + ".weight", columns, {Init::Kind::ones, 0.0}, cut);
  rstd_ = statistic(".rstd");
  out_ = d.forward_tensor(options.out, {d.local_tokens(), options.columns}, d.compute(), options.out_kept,
                          options.dropped);
  if (!options.mean_and_bias) return;
  bias_ = d.parameter(options.parameter + ".bias", columns, {Init::Kind::zeros, 0.0}, cut);
  mean_ = statistic(".mean");
}

NormArguments Norm::arguments(const BlockContext& context) const {
  NormArguments norm{
      .gain = context.weight(gain_), .epsilon = epsilon_, .y = context[out_], .rstd = context[rstd_]};
  if (mean_) {
    norm.bias = context.weight(bias_);
    norm.mean = context[mean_];
  }
  return norm;
}

TensorView Norm::forward(const BlockContext& context, TensorView x) const {
  context.backend.run(op::Norm{.x = x, .norm = arguments(context)});
  return context[out_];
}

void Norm::backward(const BlockContext& context, TensorView dy, TensorView x, TensorView addend,
                    TensorView dx) const {
  NormBackwardArguments norm{
      .gain = context.weight(gain_), .rstd = context[rstd_], .d_gain = context.gradient(gain_)};
  if (mean_) {
    norm.mean = context[mean_];
    norm.d_bias = context.gradient(bias_);
  }
  context.backend.run(op::NormBackward{.dy = dy, .x = x, .addend = addend, .dx = dx, .norm = norm});
}

}  // namespace headwater
