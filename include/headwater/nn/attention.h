#pragma once
// The attention sub-layer: V from the normed input x, Q and K from x or, with LFA, from what the filter makes
// of it; RoPE; causal attention; output projection. Without a filter q, k and v are one product. Among tensor
// ranks heads are shared out, the output projection is cut by its inputs, and its partial results are summed.

#include "headwater/nn/lfa.h"

#include <optional>

namespace headwater {

class Attention {
 public:
  struct Tensors {
    explicit Tensors(const NamedTensors& named);
    // without a filter `qk` holds q, k and v
    TensorView input_all, filtered_all, qk, v, lse, out, branch, branch_shard;
    TensorView d_branch, d_branch_all, d_out, d_qk, d_v, input_again, filtered_again;
    TensorView d_input, d_input_shard;
    std::optional<Lfa::Tensors> lfa;
  };

  Attention(const LayerSpec& layer, int unit, const std::string& prefix, ParameterStore& store,
            TensorView rotary_table, const Sharding& sharding);

  TensorView forward(const BlockContext& context, const Tensors& t, TensorView x) const;  // → the branch
  // What selective recomputation dropped: the filter's norm; t.out and t.lse.
  void recompute(const BlockContext& context, const Tensors& t) const;
  // Gradient of the branch → gradient of x.
  TensorView backward(const BlockContext& context, const Tensors& t, TensorView x, TensorView d_branch) const;

 private:
  struct Heads {
    TensorView q, k, v, rotated;  // [T, A, D], [T, G, D], [T, G, D], [T, A + G, D]
  };
  Heads heads(TensorView qk, TensorView v) const;
  void project(const BlockContext& context, const Tensors& t, TensorView x) const;  // → t.qk, t.v
  void attend(const BlockContext& context, const Tensors& t) const;                 // → t.out, t.lse
  AttentionArguments arguments(const BlockContext& context, const Heads& heads) const;

  TensorView filter_backward(const BlockContext& context, const Tensors& t, TensorView x) const;

  LayerSpec layer_;
  LayerShard shard_;
  int unit_;
  TensorView table_;
  std::optional<Lfa> lfa_;
  Linear qk_, v_, o_;  // without a filter qk_ is the product with [q; k; v]
};

}  // namespace headwater
