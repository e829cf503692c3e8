#include "headwater/nn/lfa.h"

namespace headwater {

Lfa::Tensors::Tensors(const NamedTensors& named)
    : products(named.find("lfa.products")),
      before1(named.find("lfa.before1")),
      before2(named.find("lfa.before2")),
      conv1(named.find("lfa.conv1")),
      conv2(named.find("lfa.conv2")),
      conv2_shard(named.find("lfa.conv2.shard")),
      sum(named.find("lfa.sum")),
      rstd(named.find("lfa.norm.rstd")),
      out(named.find("lfa.out")),
      d_out(named.find("lfa.d_out")),
      d_out_shard(named.find("lfa.d_out.shard")),
      d_sum(named.find("lfa.d_sum")),
      d_sum_all(named.find("lfa.d_sum.all")),
      d_products1(named.find("lfa.d_products1")),
      d_products2(named.find("lfa.d_products2")),
      d_conv1(named.find("lfa.d_conv1")),
      d_before1(named.find("lfa.d_before1")),
      d_before2(named.find("lfa.d_before2")) {}

Lfa::Lfa(const LayerSpec& layer, const std::string& prefix, ParameterStore& store, const Sharding& sharding)
    : hidden_(layer.hidden),
      channels_(LayerShard(layer, sharding).channels),
      epsilon_(layer.norm_epsilon),
      by_channels_(sharding.tensor > 1 && !sharding.filter_by_tokens()),
      by_tokens_(sharding.filter_by_tokens()),
      conv1_(store.linear(prefix + "lfa.conv1.weight")),
      conv2_(store.linear(prefix + "lfa.conv2.weight")),
      bias1_(store.weight(prefix + "lfa.conv1.bias")),
      d_bias1_(store.gradient(prefix + "lfa.conv1.bias")),
      bias2_(store.weight(prefix + "lfa.conv2.bias")),
      d_bias2_(store.gradient(prefix + "lfa.conv2.bias")),
      gain_(store.weight(prefix + "lfa.norm.weight")),
      d_gain_(store.gradient(prefix + "lfa.norm.weight")) {}

// A token shard may begin and end inside a sample; the starts alone say what its taps reach, so it counts as
// one sample.
Lfa::Rows Lfa::rows(const BlockContext& context) const {
  const Borders all = context.lfa_borders();
  if (!by_tokens_) return {all, context.batch.shape.samples};
  const std::int64_t tokens = context.batch.shape.tokens(), first = context.ranks.first_token(tokens);
  return {{all.start.rows(first, context.ranks.sharding().local_tokens(tokens)), all.offset + first}, 1};
}

NormArguments Lfa::norm(const Tensors& t) const {
  return {.gain = gain_, .epsilon = epsilon_, .y = t.out, .rstd = t.rstd};
}

TensorView Lfa::before(const BlockContext& context, const Linear& convolution, std::int64_t outputs,
                       TensorView products, TensorView product, TensorView cached_row,
                       TensorView cached_product) const {
  if (by_tokens_) {
    const TensorView mine = products.rows(products.rows() - 1, 1).slice_columns(0, outputs);
    return context.ranks.pass_right(context.backend.queue(), mine, product) ? product : TensorView();
  }
  if (context.cache == nullptr || context.batch.first == 0) return {};
  const Linear tap0{convolution.weight.rows(0, outputs), {}};
  linear_forward(context, tap0, cached_row, cached_product);
  return cached_product;
}

void Lfa::forward(const BlockContext& context, const Tensors& t, TensorView x, TensorView all) const {
  if (by_channels_) return forward_by_channels(context, t, x, all);
  Backend& b = context.backend;
  const LayerCache cache = context.cache != nullptr ? *context.cache : LayerCache{};
  const Rows r = rows(context);
  const TensorView products1(t.products.data, t.products.dtype, {x.rows(), 2 * channels_}, t.products.device);

  linear_forward(context, conv1_, x, products1);
  const TensorView before1 =
      before(context, conv1_, channels_, products1, t.before1, cache.last_input, cache.before1);
  b.run(op::LfaTaps{.products = products1,
                    .borders = r.borders,
                    .samples = r.samples,
                    .before = before1,
                    .bias = bias1_,
                    .out = t.conv1});

  linear_forward(context, conv2_, t.conv1, t.products);
  const TensorView before2 =
      before(context, conv2_, hidden_, t.products, t.before2, cache.last_conv1, cache.before2);
  b.run(op::LfaTapsNorm{.taps = {.products = t.products,
                                 .borders = r.borders,
                                 .samples = r.samples,
                                 .before = before2,
                                 .bias = bias2_,
                                 .residual = x,
                                 .out = t.sum},
                        .norm = norm(t)});
  if (context.cache != nullptr) {
    b.run(op::Copy{.from = x.rows(x.rows() - 1, 1), .to = cache.last_input});
    b.run(op::Copy{.from = t.conv1.rows(x.rows() - 1, 1), .to = cache.last_conv1});
  }
}

void Lfa::recompute_norm(const BlockContext& context, const Tensors& t) const {
  context.backend.run(op::Norm{.x = t.sum, .norm = norm(t)});
}

// The shifted sum of the second convolution's partial products commutes with the sum over ranks; its bias is
// added once.
void Lfa::forward_by_channels(const BlockContext& context, const Tensors& t, TensorView x,
                              TensorView all) const {
  Backend& b = context.backend;
  const Rows r = rows(context);
  const TensorView products1(t.products.data, t.products.dtype, {all.rows(), 2 * channels_},
                             t.products.device);
  linear_forward(context, conv1_, all, products1);
  b.run(op::LfaTaps{
      .products = products1, .borders = r.borders, .samples = r.samples, .bias = bias1_, .out = t.conv1});
  linear_forward(context, conv2_, t.conv1, t.products);
  b.run(op::LfaTaps{.products = t.products,
                    .borders = r.borders,
                    .samples = r.samples,
                    .bias = context.ranks.rank() == 0 ? bias2_ : TensorView(),
                    .out = t.conv2});
  b.run(op::ResidualNorm{.sum = {.branch = context.sum(t.conv2, t.conv2_shard), .x = x, .out = t.sum},
                         .norm = norm(t)});
}

void Lfa::taps_backward(const BlockContext& context, TensorView d_out, TensorView d_products,
                        TensorView d_before, TensorView d_bias) const {
  const Rows r = rows(context);
  context.backend.run(op::LfaTapsBackward{.d_out = d_out,
                                          .borders = r.borders,
                                          .samples = r.samples,
                                          .d_products = d_products,
                                          .d_before = d_before,
                                          .d_bias = d_bias});
}

void Lfa::gradient_from_right(const BlockContext& context, std::int64_t outputs, TensorView d_before,
                              TensorView d_products) const {
  if (by_tokens_)
    context.ranks.pass_left(context.backend.queue(), d_before,
                            d_products.rows(d_products.rows() - 1, 1).slice_columns(0, outputs));
}

void Lfa::backward(const BlockContext& context, const Tensors& t, TensorView x, TensorView all,
                   TensorView d_out, TensorView d_partial) const {
  context.backend.run(op::NormBackward{
      .dy = d_out, .x = t.sum, .gain = gain_, .rstd = t.rstd, .dx = t.d_sum, .d_gain = d_gain_});
  if (by_channels_) return backward_by_channels(context, t, all, d_partial);
  taps_backward(context, t.d_sum, t.d_products2, t.d_before2, d_bias2_);
  gradient_from_right(context, hidden_, t.d_before2, t.d_products2);
  linear_backward(context, conv2_, t.d_products2, t.conv1, t.d_conv1);
  taps_backward(context, t.d_conv1, t.d_products1, t.d_before1, d_bias1_);
  gradient_from_right(context, channels_, t.d_before1, t.d_products1);
  linear_backward(context, conv1_, t.d_products1, x, t.d_sum, true);  // beside the residual's share
}

void Lfa::backward_by_channels(const BlockContext& context, const Tensors& t, TensorView all,
                               TensorView d_partial) const {
  taps_backward(context, context.gather(t.d_sum, t.d_sum_all), t.d_products2, {}, d_bias2_);
  linear_backward(context, conv2_, t.d_products2, t.conv1, t.d_conv1);
  taps_backward(context, t.d_conv1, t.d_products1, {}, d_bias1_);
  linear_backward(context, conv1_, t.d_products1, all, d_partial);
}

}  // namespace headwater
