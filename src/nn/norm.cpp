#include "headwater/nn/norm.h"

namespace headwater {

Norm::Norm(UnitDescription& d, const NormOptions& options)
    : epsilon_(options.epsilon),
      gain_(d.parameter(options.parameter + ".weight", {options.columns}, {Init::Kind::ones, 0.0},
                        {.split = {}, .sees_token_shard = d.tokens_are_cut()})),
      rstd_(d.forward_tensor(options.name + ".rstd", {d.local_tokens()}, d.accumulate(),
                             Kept::until_input_gradient, options.dropped)),
      out_(d.forward_tensor(options.out, {d.local_tokens(), options.columns}, d.compute(), options.out_kept,
                            options.dropped)) {}

NormArguments Norm::arguments(const BlockContext& context) const {
  return {.gain = context.weight(gain_), .epsilon = epsilon_, .y = context[out_], .rstd = context[rstd_]};
}

TensorView Norm::forward(const BlockContext& context, TensorView x) const {
  context.backend.run(op::Norm{.x = x, .norm = arguments(context)});
  return context[out_];
}

void Norm::backward(const BlockContext& context, TensorView dy, TensorView x, TensorView addend,
                    TensorView dx) const {
  context.backend.run(op::NormBackward{
      .dy = dy,
      .x = x,
      .addend = addend,
      .dx = dx,
      .norm = {.gain = context.weight(gain_), .rstd = context[rstd_], .d_gain = context.gradient(gain_)}});
}

}  // namespace headwater
