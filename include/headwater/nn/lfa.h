#pragma once
// Localized filtering (Yuan 2.0 §3.1, Fig. 2): y = RMSNorm(conv2(conv1(x)) + x), two causal 2-tap
// convolutions H → H/2 → H with biases. Each convolution is one product with both taps side by side, then a
// shifted sum (backend.h, lfa_taps).
//
// Among tensor ranks it is cut in one of two exact ways (docs/lfa.md). By channels: the first convolution by
// its outputs, the second by its inputs, whose partial results are summed before bias, residual and norm. By
// tokens, where norms are: every rank has the whole weights, and the products of tap 0 of the token before
// its first come from the neighbour on the left.

#include "headwater/nn/block.h"
#include "headwater/nn/carver.h"

#include <string>

namespace headwater {

class Lfa {
 public:
  struct Tensors {
    explicit Tensors(const NamedTensors& named);
    TensorView products, before1, before2, conv1, conv2, conv2_shard, sum, rstd, out;
    TensorView d_out, d_out_shard, d_sum, d_sum_all, d_products1, d_products2, d_conv1, d_before1, d_before2;
  };

  Lfa(const LayerSpec& layer, const std::string& prefix, ParameterStore& store, const Sharding& sharding);

  // Whether each of several ranks holds a part of the channels.
  bool by_channels() const { return by_channels_; }
  // x and `all` are the same where tokens are whole; → t.out.
  void forward(const BlockContext& context, const Tensors& t, TensorView x, TensorView all) const;
  void recompute_norm(const BlockContext& context, const Tensors& t) const;  // t.out again, from t.sum
  // d_out (of t.out) → the gradient of x in t.d_sum; but where channels are cut the first convolution's share
  // of it, which is this rank's part of a sum over ranks, goes into `d_partial`.
  void backward(const BlockContext& context, const Tensors& t, TensorView x, TensorView all, TensorView d_out,
                TensorView d_partial) const;

 private:
  // Where the rows that this rank filters stand.
  struct Rows {
    Borders borders;
    std::int64_t samples;
  };
  Rows rows(const BlockContext& context) const;
  NormArguments norm(const Tensors& t) const;
  void taps_backward(const BlockContext& context, TensorView d_out, TensorView d_products,
                     TensorView d_before, TensorView d_bias) const;
  void forward_by_channels(const BlockContext& context, const Tensors& t, TensorView x, TensorView all) const;
  void backward_by_channels(const BlockContext& context, const Tensors& t, TensorView all,
                            TensorView d_partial) const;
  // The products of tap 0 with the vector before the first row: of the neighbour's last row, in `product`, or
  // of the row that generation remembers; empty where there is none.
  TensorView before(const BlockContext& context, const Linear& convolution, std::int64_t outputs,
                    TensorView products, TensorView product, TensorView cached_row,
                    TensorView cached_product) const;
  // The gradient of the product that this rank's last row gave the neighbour on the right: d_before of that
  // rank.
  void gradient_from_right(const BlockContext& context, std::int64_t outputs, TensorView d_before,
                           TensorView d_products) const;

  std::int64_t hidden_, channels_;
  double epsilon_;
  bool by_channels_, by_tokens_;
  Linear conv1_, conv2_;
  TensorView bias1_, d_bias1_, bias2_, d_bias2_, gain_, d_gain_;
};

}  // namespace headwater
