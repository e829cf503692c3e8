#pragma once
// Localized filtering (Yuan 2.0 §3.1, Fig. 2): y = RMSNorm(conv2(conv1(x)) + x), two causal 2-tap convolutions H → H/2 → H
// with biases. Each convolution is one product with both taps side by side, then a shifted sum (backend.h, lfa_taps).

#include "headwater/nn/block.h"
#include "headwater/nn/carver.h"

#include <string>

namespace headwater {

class Lfa {
 public:
  struct Tensors {
    explicit Tensors(const NamedTensors& named);
    TensorView products, conv1, sum, rstd, out;
    TensorView d_out, d_sum, d_products1, d_products2, d_conv1;
  };

  Lfa(const LayerSpec& layer, const std::string& prefix, ParameterStore& store);

  void forward(const BlockContext& context, const Tensors& t, TensorView x) const;  // → t.out
  // t.d_out → t.d_sum, the gradient of x.
  void backward(const BlockContext& context, const Tensors& t, TensorView x) const;

 private:
  // The products of tap 0 with the vector before the first row; empty where there is none.
  TensorView before(const BlockContext& context, const Linear& convolution, std::int64_t outputs, TensorView last,
                    TensorView product) const;

  std::int64_t hidden_, channels_;
  double epsilon_;
  Linear conv1_, conv2_;
  TensorView bias1_, d_bias1_, bias2_, d_bias2_, gain_, d_gain_;
};

}  // namespace headwater
