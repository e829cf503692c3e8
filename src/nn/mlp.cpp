#include "headwater/nn/mlp.h"

namespace headwater {

Mlp::Tensors::Tensors(const NamedTensors& named)
    : gate_up(named.at("mlp.gate_up")),
      activation(named.at("mlp.activation")),
      branch(named.at("branch")),
      d_activation(named.find("mlp.d_activation")),
      d_gate_up(named.find("mlp.d_gate_up")),
      d_input(named.find("mlp.d_norm")) {}

Mlp::Mlp(const std::string& prefix, ParameterStore& store)
    : gate_up_(store.linear(prefix + "mlp.gate.weight", prefix + "mlp.up.weight")),
      down_(store.linear(prefix + "mlp.down.weight")) {}

void Mlp::forward(const BlockContext& context, const Tensors& t, TensorView u) const {
  context.backend.linear(u, *gate_up_.weight, t.gate_up);
  context.backend.swiglu(t.gate_up, t.activation);
  context.backend.linear(t.activation, *down_.weight, t.branch);
}

void Mlp::backward(const BlockContext& context, const Tensors& t, TensorView u, TensorView d_branch) const {
  linear_backward(context, down_, d_branch, t.activation, t.d_activation);
  context.backend.swiglu_backward(t.d_activation, t.gate_up, t.d_gate_up);
  linear_backward(context, gate_up_, t.d_gate_up, u, t.d_input);
}

}  // namespace headwater
