#pragma once
// The attention sub-layer: V from the normed input x, Q and K from x or, with LFA, from what the filter makes of it; RoPE;
// causal attention; output projection. Without a filter q, k and v are one product.

#include "headwater/nn/lfa.h"

#include <optional>

namespace headwater {

class Attention {
 public:
  struct Tensors {
    explicit Tensors(const NamedTensors& named);
    TensorView qk, v, lse, out, branch;  // without a filter `qk` holds q, k and v
    TensorView d_branch, d_out, d_qk, d_v, d_input;
    std::optional<Lfa::Tensors> lfa;
  };

  Attention(const LayerSpec& layer, int unit, const std::string& prefix, ParameterStore& store, TensorView rotary_table);

  void forward(const BlockContext& context, const Tensors& t, TensorView x) const;  // → t.branch
  // Gradient of the branch → gradient of x, in the tensor that is returned.
  TensorView backward(const BlockContext& context, const Tensors& t, TensorView x, TensorView d_branch) const;

 private:
  struct Heads {
    TensorView q, k, v, rotated;  // [T, A, D], [T, G, D], [T, G, D], [T, A + G, D]
  };
  Heads heads(TensorView qk, TensorView v) const;
  AttentionArgs arguments(const BlockContext& context, const Heads& heads) const;

  LayerSpec layer_;
  int unit_;
  TensorView table_;
  std::optional<Lfa> lfa_;
  Linear qk_, v_, o_;  // without a filter qk_ is the product with [q; k; v]
};

}  // namespace headwater
