#pragma once
// Localized filtering (Yuan 2.0 §3.1, Fig. 2): y = norm(conv2(conv1(x)) + x), two causal 2-tap convolutions
// H → H/2 → H with biases. Each convolution is one product with both taps side by side, then a shifted sum
// (backend/ops.h, LfaTaps).
//
// Among tensor ranks it is cut in one of two exact ways (docs/lfa.md). By channels: the first convolution by
// its outputs, the second by its inputs, whose partial results are summed before bias, residual and norm. By
// tokens, where norms are: every rank has the whole weights, and the products of tap 0 of the token before
// its first come from the neighbour on the left.

#include "headwater/nn/filter.h"
#include "headwater/nn/norm.h"

#include <functional>

namespace headwater {

class Lfa final : public Filter {
 public:
  struct Options {
    std::string prefix;       // of its parameters: "layers.3."
    std::int64_t hidden = 0;  // H
    TensorId input;           // x: what the norm before it gives
  };
  // Makes the norm behind the convolutions, with the names in the options.
  using MakeNorm = std::function<Norm(UnitDescription&, NormOptions)>;

  Lfa(UnitDescription& description, const Options& options, const MakeNorm& make_norm);

  TensorId out() const override { return norm_.out(); }
  void forward(const BlockContext& context, TensorView x, TensorView all) const override;
  void recompute(const BlockContext& context) const override;
  TensorView backward(const BlockContext& context, TensorView x, TensorView all, TensorView d_out,
                      TensorView d_partial) const override;
  bool adds_to_partial() const override { return by_channels_; }
  bool trains_on_all() const override { return !by_tokens_ && conv1_.trained; }

 private:
  // A convolution [tap, out, in], tap 0 the previous token, and a bias, with the tensors around it.
  struct Convolution {
    std::int64_t outputs = 0;  // of this rank
    bool trained = true;       // the weight
    ParameterId bias;
    ProductId product;
    TensorId before, d_before;        // by tokens: the product of tap 0 with the token before the first
    CacheId last_input, last_before;  // generation: the last token's input, and its product with tap 0
    TensorId d_products;
  };
  // The rows that this rank filters, and where they stand.
  struct Rows {
    Borders borders;
    std::int64_t samples;
  };

  Convolution convolution(UnitDescription& description, const std::string& prefix, const std::string& name,
                          std::int64_t out, std::int64_t in, bool cut_by_outputs) const;
  std::int64_t filtered_tokens(const UnitDescription& description) const;
  Rows rows(const BlockContext& context) const;
  // [prev | cur] of a convolution, c [filtered tokens, 2 · outputs].
  TensorView products(const BlockContext& context, const Convolution& convolution) const;
  void forward_by_channels(const BlockContext& context, TensorView x, TensorView all) const;
  // The products of tap 0 with the vector before the first row: those of the neighbour's last row, or of the
  // row that generation remembers; empty where there is none.
  TensorView before(const BlockContext& context, const Convolution& convolution) const;
  void taps_backward(const BlockContext& context, const Convolution& convolution, TensorView d_out) const;
  // The gradient of the product that this rank's last row gave the neighbour on the right: d_before of that
  // rank.
  void gradient_from_right(const BlockContext& context, const Convolution& convolution) const;

  bool by_channels_, by_tokens_;
  TensorId products_;
  Convolution conv1_, conv2_;
  Norm norm_;
  TensorId conv1_out_, conv2_out_, conv2_shard_, sum_;
  TensorId d_sum_, d_sum_all_, d_conv1_;
};

}  // namespace headwater
