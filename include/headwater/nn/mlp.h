#pragma once
// The MLP: down(silu(gate u) ⊙ up u), gate and up as one product (SwiGLU, Shazeer 2020).

#include "headwater/nn/block.h"
#include "headwater/nn/carver.h"

#include <string>

namespace headwater {

class Mlp {
 public:
  struct Tensors {
    explicit Tensors(const NamedTensors& named);
    TensorView gate_up, activation, branch;
    TensorView d_activation, d_gate_up, d_input;
  };

  Mlp(const std::string& prefix, ParameterStore& store);

  void forward(const BlockContext& context, const Tensors& t, TensorView u) const;  // → t.branch
  // Gradient of the branch → t.d_input, the gradient of u.
  void backward(const BlockContext& context, const Tensors& t, TensorView u, TensorView d_branch) const;

 private:
  Linear gate_up_, down_;
};

}  // namespace headwater
