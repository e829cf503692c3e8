#pragma once
// The attention sub-layer: V from the normed input x; Q and K from x, or from what a filter makes of it;
// positions; causal attention; output projection. Without a filter q, k and v are one product. Among tensor
// ranks heads are shared out, the output projection is cut by its inputs, and its partial results are summed.

#include "headwater/nn/filter.h"
#include "headwater/nn/positions.h"

#include <memory>

namespace headwater {

class Attention {
 public:
  struct Options {
    std::string prefix;                                              // of its parameters: "layers.3."
    std::int64_t hidden = 0, heads = 0, kv_heads = 0, head_dim = 0;  // H, A, G, D
    double dropout = 0.0;
    double init_std = 0.0;    // of q, k and v
    double output_std = 0.0;  // of o
    TensorId input;           // x: what the norm before it gives
    BranchTensors branch;
  };
  // Declares that ranks share out the heads. It is called before the filter is made, because a refusal names
  // the first part of a unit that ranks cannot share out, and heads are what a person thinks of first.
  static void share_out_heads(UnitDescription& description, std::int64_t heads, std::int64_t kv_heads);

  // `filter` may be empty. Both have declared what they need, and the heads are declared.
  Attention(UnitDescription& description, const Options& options, std::unique_ptr<Filter> filter,
            std::unique_ptr<Positions> positions);

  TensorView forward(const BlockContext& context) const;  // x → the branch
  // Makes again what selective recomputation dropped: the filter's, the attention's output and lse.
  void recompute(const BlockContext& context) const;
  // The gradient of the branch → the gradient of x.
  TensorView backward(const BlockContext& context, TensorView d_branch) const;

 private:
  struct Heads {
    TensorView q, k, v, queries_and_keys;  // [T, A, D], [T, G, D], [T, G, D], [T, A + G, D]
  };
  Heads heads(TensorView qk, TensorView v) const;
  TensorView by_heads(TensorView x) const;          // [T, A, D] of [T, A·D]
  void project(const BlockContext& context) const;  // → qk, v
  void attend(const BlockContext& context) const;   // → out, lse
  AttentionArguments arguments(const BlockContext& context, const Heads& heads) const;
  TensorView filter_backward(const BlockContext& context) const;

  int unit_;
  std::int64_t heads_, kv_heads_, head_dim_;  // of this rank
  double dropout_;
  TensorId input_;
  BranchTensors branch_;
  std::unique_ptr<Filter> filter_;
  std::unique_ptr<Positions> positions_;
  ProductId qk_, v_, o_;  // without a filter qk_ is the product with [q; k; v]
  Gathered gathered_, filtered_;
  TensorId qk_out_, v_out_, lse_, out_;  // without a filter qk_out_ holds q, k and v
  TensorId d_branch_all_, d_out_, d_qk_, d_v_, d_filtered_, d_filtered_shard_, d_input_, d_input_shard_;
  CacheId keys_, values_;
};

}  // namespace headwater
