#pragma once
// A norm over the columns of the residual stream: RMSNorm (Zhang & Sennrich 2019), or LayerNorm (Ba et al.
// 2016). Where tokens are cut it norms this rank's, and the gradients of its gain and bias are summed over
// the ranks.

#include "headwater/nn/block.h"

namespace headwater {

struct NormOptions {
  std::string parameter;  // "layers.3.mlp_norm"
  std::string name, out;  // of what it keeps for backward ("mlp_norm"), and of the tensor that it gives
  std::int64_t columns = 0;
  bool mean_and_bias = false;  // LayerNorm, which takes the mean of a row off and adds a bias
  double epsilon = 1e-6;
  Kept out_kept = Kept::until_input_gradient;  // at least; who reads it may keep it longer
  Dropped dropped = Dropped::by_selective;
};

class Norm {
 public:
  Norm(UnitDescription& description, const NormOptions& options);

  TensorId out() const { return out_; }
  // For an op that takes a norm along.
  NormArguments arguments(const BlockContext& context) const;

  // The norm of x; → out().
  TensorView forward(const BlockContext& context, TensorView x) const;
  // dx = addend + the gradient of x from that of the output; `addend` may be empty.
  void backward(const BlockContext& context, TensorView dy, TensorView x, TensorView addend,
                TensorView dx) const;

 private:
  double epsilon_;
  ParameterId gain_, bias_;
  TensorId rstd_, out_, mean_;  // without mean_ there is no bias either
};

}  // namespace headwater
