#include "headwater/nn/mlp.h"

namespace headwater {

Mlp::Tensors::Tensors(const NamedTensors& named)
    : input_all(named.find("mlp_norm.all")),
      gate_up(named.at("mlp.gate_up")),
      activation(named.at("mlp.activation")),
      branch(named.at("branch")),
      branch_shard(named.find("branch.shard")),
      d_branch_all(named.find("mlp.d_branch.all")),
      d_activation(named.find("mlp.d_activation")),
      d_gate_up(named.find("mlp.d_gate_up")),
      input_again(named.find("mlp_norm.again")),
      d_input(named.find("mlp.d_norm")),
      d_input_shard(named.find("mlp.d_norm.shard")) {}

Mlp::Mlp(const std::string& prefix, ParameterStore& store)
    : gate_up_(store.linear(prefix + "mlp.gate.weight", prefix + "mlp.up.weight")),
      down_(store.linear(prefix + "mlp.down.weight")) {}

void Mlp::activate(const BlockContext& context, const Tensors& t, TensorView u) const {
  linear_forward(context, gate_up_, context.gather(u, t.input_all), t.gate_up);
  context.backend.run(op::Swiglu{.x = t.gate_up, .out = t.activation});
}

TensorView Mlp::project(const BlockContext& context, const Tensors& t) const {
  linear_forward(context, down_, t.activation, t.branch);
  return context.sum(t.branch, t.branch_shard);
}

void Mlp::recompute(const BlockContext& context, const Tensors& t) const {
  context.backend.run(op::Swiglu{.x = t.gate_up, .out = t.activation});
}

TensorView Mlp::backward(const BlockContext& context, const Tensors& t, TensorView u,
                         TensorView d_branch) const {
  linear_backward(context, down_, context.gather(d_branch, t.d_branch_all), t.activation, t.d_activation);
  context.backend.run(op::SwigluBackward{.d_out = t.d_activation, .x = t.gate_up, .dx = t.d_gate_up});
  linear_backward(context, gate_up_, t.d_gate_up, context.gather(u, t.input_again), t.d_input);
  return context.sum(t.d_input, t.d_input_shard);
}

}  // namespace headwater
