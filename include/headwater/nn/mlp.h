#pragma once
// The MLP: down(silu(gate u) ⊙ up u), gate and up as one product (SwiGLU, Shazeer 2020). Among tensor ranks
// gate and up are cut by their outputs, each for itself, down by its inputs, and its partial results are
// summed.

#include "headwater/nn/block.h"
#include "headwater/nn/carver.h"

#include <string>

namespace headwater {

class Mlp {
 public:
  struct Tensors {
    explicit Tensors(const NamedTensors& named);
    TensorView input_all, gate_up, activation, branch, branch_shard;
    TensorView d_branch_all, d_activation, d_gate_up, input_again, d_input, d_input_shard;
  };

  Mlp(const std::string& prefix, ParameterStore& store);

  // → t.gate_up, t.activation
  void activate(const BlockContext& context, const Tensors& t, TensorView u) const;
  // t.activation → the branch
  TensorView project(const BlockContext& context, const Tensors& t) const;
  // What selective recomputation dropped: t.activation.
  void recompute(const BlockContext& context, const Tensors& t) const;
  // Gradient of the branch → gradient of u.
  TensorView backward(const BlockContext& context, const Tensors& t, TensorView u, TensorView d_branch) const;

 private:
  Linear gate_up_, down_;
};

}  // namespace headwater
