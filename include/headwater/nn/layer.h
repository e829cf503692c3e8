#pragma once
// One transformer layer, pre-norm: h → h + attention(norm(h)) → that + mlp(norm(that)).

#include "headwater/nn/make_blocks.h"

namespace headwater {

class Layer {
 public:
  // The layer is site.model.layers[site.unit − 1], its parameters are those of "layers.{site.unit − 1}.".
  explicit Layer(const UnitSite& site);

  const UnitDescription& description() const { return description_; }
  // The layer's own tensor of its input; absent where another stage sends it.
  TensorId input() const { return input_; }
  // The layer's own tensor of d_out, where it needs that later; absent elsewhere, and where another stage
  // sends it.
  TensorId d_out() const { return d_out_; }

  // All three read the same `input`, the residual stream c [T, H] of this rank's tokens.
  void forward(const BlockContext& context, TensorView input, TensorView out) const;
  // Before backward, where tensors were dropped after forward: makes them again, to the same bits. No
  // backward needs the layer's last product, so that is left out.
  void recompute(const BlockContext& context, TensorView input, Recompute how) const;
  void backward(const BlockContext& context, TensorView input, TensorView d_out, TensorView d_input) const;

 private:
  Layer(const UnitSite& site, const LayerSpec& layer);
  void forward_to_activation(const BlockContext& context, TensorView input) const;
  Dropout dropout(const BlockContext& context, int place) const;

  UnitDescription description_;
  double dropout_;
  BranchTensors branch_;
  TensorId input_;
  Norm attention_norm_;
  Attention attention_;
  TensorId middle_;
  Norm mlp_norm_;
  Mlp mlp_;
  TensorId d_out_, mlp_d_branch_, d_middle_, attention_d_branch_;
};

}  // namespace headwater
