#pragma once
// One transformer layer, pre-norm: h → h + attention(norm(h)) → that + mlp(norm(that)).

#include "headwater/nn/attention.h"
#include "headwater/nn/mlp.h"

namespace headwater {

class Layer {
 public:
  struct Tensors {
    explicit Tensors(const NamedTensors& named);
    TensorView input, rstd1, normed1, middle, rstd2, normed2;
    TensorView d_out;  // only where the weight gradient comes later and needs it
    TensorView d_middle, attention_d_branch, mlp_d_branch;
    Attention::Tensors attention;
    Mlp::Tensors mlp;
  };

  // `unit` numbers the layer in the model (model_spec.h); parameters are those of "layers.{unit − 1}.".
  Layer(const LayerSpec& layer, int unit, ParameterStore& store, TensorView rotary_table,
        const Sharding& sharding);

  void forward(const BlockContext& context, const Tensors& t, TensorView out) const;  // from t.input
  // Before backward, where tensors were dropped after forward: makes them again, to the same bits. No
  // backward needs the layer's last product, so that is left out.
  void recompute(const BlockContext& context, const Tensors& t, Recompute how) const;
  void backward(const BlockContext& context, const Tensors& t, TensorView d_out, TensorView d_input) const;

 private:
  NormArguments norm1(const Tensors& t) const;
  NormArguments norm2(const Tensors& t) const;
  void forward_to_activation(const BlockContext& context, const Tensors& t) const;

  LayerSpec layer_;
  int unit_;
  TensorView gain1_, d_gain1_, gain2_, d_gain2_;
  Attention attention_;
  Mlp mlp_;
};

}  // namespace headwater
