#include "headwater/nn/lfa.h"

namespace headwater {

Lfa::Tensors::Tensors(const NamedTensors& named)
    : products(named.find("lfa.products")),
      conv1(named.find("lfa.conv1")),
      sum(named.find("lfa.sum")),
      rstd(named.find("lfa.norm.rstd")),
      out(named.find("lfa.out")),
      d_out(named.find("lfa.d_out")),
      d_sum(named.find("lfa.d_sum")),
      d_products1(named.find("lfa.d_products1")),
      d_products2(named.find("lfa.d_products2")),
      d_conv1(named.find("lfa.d_conv1")) {}

Lfa::Lfa(const LayerSpec& layer, const std::string& prefix, ParameterStore& store)
    : hidden_(layer.hidden),
      channels_(layer.filter_channels()),
      epsilon_(layer.norm_epsilon),
      conv1_(store.linear(prefix + "lfa.conv1.weight")),
      conv2_(store.linear(prefix + "lfa.conv2.weight")),
      bias1_(store.weight(prefix + "lfa.conv1.bias")),
      d_bias1_(store.gradient(prefix + "lfa.conv1.bias")),
      bias2_(store.weight(prefix + "lfa.conv2.bias")),
      d_bias2_(store.gradient(prefix + "lfa.conv2.bias")),
      gain_(store.weight(prefix + "lfa.norm.weight")),
      d_gain_(store.gradient(prefix + "lfa.norm.weight")) {}

TensorView Lfa::before(const BlockContext& context, const Linear& convolution, std::int64_t outputs, TensorView last,
                       TensorView product) const {
  if (context.cache == nullptr || context.batch.first == 0) return {};
  const Weight tap0{convolution.weight->canonical.rows(0, outputs), {}};
  context.backend.linear(last, tap0, product);
  return product;
}

void Lfa::forward(const BlockContext& context, const Tensors& t, TensorView x) const {
  Backend& b = context.backend;
  const std::int64_t tokens = x.rows(), samples = context.batch.shape.samples;
  LayerCache* cache = context.cache;
  const TensorView products1(t.products.data, t.products.dtype, {tokens, 2 * channels_}, t.products.device);

  const TensorView before1 = cache ? before(context, conv1_, channels_, cache->last_input, cache->before1) : TensorView();
  b.linear(x, *conv1_.weight, products1);
  b.lfa_taps(products1, context.lfa_borders(), samples, before1, bias1_, {}, t.conv1);

  const TensorView before2 = cache ? before(context, conv2_, hidden_, cache->last_conv1, cache->before2) : TensorView();
  b.linear(t.conv1, *conv2_.weight, t.products);
  b.lfa_taps_rms_norm(t.products, context.lfa_borders(), samples, before2, bias2_, x, gain_, epsilon_, t.sum, t.out,
                      t.rstd);
  if (cache != nullptr) {
    b.copy(x.rows(tokens - 1, 1), cache->last_input);
    b.copy(t.conv1.rows(tokens - 1, 1), cache->last_conv1);
  }
}

void Lfa::backward(const BlockContext& context, const Tensors& t, TensorView x) const {
  Backend& b = context.backend;
  const Borders borders = context.lfa_borders();
  const std::int64_t samples = context.batch.shape.samples;
  b.rms_norm_backward(t.d_out, t.sum, gain_, t.rstd, t.d_sum, false, d_gain_);
  b.lfa_taps_backward(t.d_sum, borders, samples, t.d_products2, {}, d_bias2_);
  linear_backward(context, conv2_, t.d_products2, t.conv1, t.d_conv1);
  b.lfa_taps_backward(t.d_conv1, borders, samples, t.d_products1, {}, d_bias1_);
  linear_backward(context, conv1_, t.d_products1, x, t.d_sum, true);  // beside the residual's share
}

}  // namespace headwater
