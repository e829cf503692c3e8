#include "lfa.h"

#include <cmath>

namespace headwater {

// The convolutions keep PyTorch's Conv2d default, U(±1/√fan_in) with fan_in the input channels times two
// taps, biases included, as Yuan 2.0's reference implementation does.
Lfa::Convolution Lfa::convolution(UnitDescription& d, const std::string& prefix, const std::string& name,
                                  std::int64_t out, std::int64_t in, bool cut_by_outputs) const {
  const Init init{Init::Kind::uniform, 1.0 / std::sqrt(2.0 * static_cast<double>(in))};
  ParameterCut weight = ParameterCut::along(cut_by_outputs ? 1 : 2),
               bias = cut_by_outputs ? ParameterCut::along(0) : ParameterCut::whole();
  if (by_tokens_) weight = bias = {.split = {}, .sees_token_shard = true};

  Convolution c;
  c.outputs = by_channels_ && cut_by_outputs ? out / d.sharding().tensor : out;
  c.product = d.product(name, d.parameter(prefix + name + ".weight", {2, out, in}, init, weight));
  c.trained = d.trained(c.product);
  c.bias = d.parameter(prefix + name + ".bias", {out}, init, bias);
  const Shape row{1, c.outputs};
  if (by_tokens_) {
    c.before = d.forward_tensor(name + ".before", row, d.compute(), Kept::scratch);
    c.d_before = d.backward_tensor(name + ".d_before", row, d.compute(), Kept::scratch);
  }
  c.d_products = d.backward_tensor(name + ".d_products", {filtered_tokens(d), 2 * c.outputs}, d.compute(),
                                   d.kept_for(c.product));
  c.last_input = d.cache(name + ".last_input", {1, in});
  c.last_before = d.cache(name + ".before", row);
  return c;
}

std::int64_t Lfa::filtered_tokens(const UnitDescription& d) const {
  return by_tokens_ ? d.local_tokens() : d.tokens();
}

Lfa::Lfa(UnitDescription& d, const Options& o, const MakeNorm& make_norm)
    : by_channels_(d.several() && !d.sharding().filter_by_tokens()),
      by_tokens_(d.sharding().filter_by_tokens()),
      products_(
          d.forward_tensor("lfa.products", {filtered_tokens(d), 2 * o.hidden}, d.compute(), Kept::scratch)),
      conv1_(convolution(d, o.prefix, "lfa.conv1", o.hidden / 2, o.hidden, true)),
      conv2_(convolution(d, o.prefix, "lfa.conv2", o.hidden, o.hidden / 2, false)),
      norm_(make_norm(
          d,
          {.parameter = o.prefix + "lfa.norm", .name = "lfa.norm", .out = "lfa.out", .columns = o.hidden})) {
  d.reads(BatchArray::lfa_start);
  d.share_out({"the filter's channels (model.hidden_size / 2)", o.hidden / 2});
  const Shape whole{d.tokens(), o.hidden}, local{d.local_tokens(), o.hidden};
  const DType c = d.compute();
  // The first convolution's weight gradient reads this rank's tokens, or those that are gathered again.
  if (by_tokens_ && conv1_.trained) d.keep_until_weight_gradient(o.input);
  if (!by_tokens_) d.keep_for_product(o.input, conv1_.product);
  conv1_out_ =
      d.forward_tensor("lfa.conv1", {filtered_tokens(d), conv1_.outputs}, c, d.kept_for(conv2_.product));
  if (by_channels_) conv2_out_ = d.forward_tensor("lfa.conv2", whole, c, Kept::scratch);
  if (by_channels_ && d.tokens_are_cut())
    conv2_shard_ = d.forward_tensor("lfa.conv2.shard", local, c, Kept::scratch);
  sum_ = d.forward_tensor("lfa.sum", local, c, Kept::until_input_gradient);

  d_sum_ = d.backward_tensor("lfa.d_sum", local, c, Kept::scratch);
  if (by_channels_ && d.tokens_are_cut())
    d_sum_all_ = d.backward_tensor("lfa.d_sum.all", whole, c, Kept::scratch);
  d_conv1_ = d.backward_tensor("lfa.d_conv1", {filtered_tokens(d), conv1_.outputs}, c, Kept::scratch);
}

// A token shard may begin and end inside a sample; the starts alone say what its taps reach, so it counts as
// one sample.
Lfa::Rows Lfa::rows(const BlockContext& context) const {
  const Borders all = context.lfa_borders();
  if (!by_tokens_) return {all, context.batch.shape.samples};
  const std::int64_t tokens = context.batch.shape.tokens(), first = context.ranks.first_token(tokens);
  return {{all.start.rows(first, context.ranks.sharding().local_tokens(tokens)), all.offset + first}, 1};
}

// The products of both convolutions share memory, which the second needs whole.
TensorView Lfa::products(const BlockContext& context, const Convolution& convolution) const {
  const TensorView memory = context[products_];
  return {memory.data, memory.dtype, {memory.rows(), 2 * convolution.outputs}, memory.device};
}

TensorView Lfa::before(const BlockContext& context, const Convolution& c) const {
  if (by_tokens_) {
    const TensorView products = this->products(context, c);
    const TensorView mine = products.rows(products.rows() - 1, 1).slice_columns(0, c.outputs);
    const TensorView product = context[c.before];
    return context.ranks.pass_right(context.backend.queue(), mine, product) ? product : TensorView();
  }
  if (context.caches == nullptr || context.batch.first == 0) return {};
  const Linear tap0{context.linear(c.product).weight.rows(0, c.outputs), {}};
  linear_forward(context, tap0, context.cache(c.last_input), context.cache(c.last_before));
  return context.cache(c.last_before);
}

void Lfa::forward(const BlockContext& context, TensorView x, TensorView all) const {
  if (by_channels_) return forward_by_channels(context, x, all);
  Backend& b = context.backend;
  const Rows r = rows(context);
  const TensorView conv1 = context[conv1_out_], products1 = products(context, conv1_),
                   products2 = products(context, conv2_);

  linear_forward(context, context.linear(conv1_.product), x, products1);
  b.run(op::LfaTaps{.products = products1,
                    .borders = r.borders,
                    .samples = r.samples,
                    .before = before(context, conv1_),
                    .bias = context.weight(conv1_.bias),
                    .out = conv1});

  linear_forward(context, context.linear(conv2_.product), conv1, products2);
  b.run(op::LfaTapsNorm{.taps = {.products = products2,
                                 .borders = r.borders,
                                 .samples = r.samples,
                                 .before = before(context, conv2_),
                                 .bias = context.weight(conv2_.bias),
                                 .residual = x,
                                 .out = context[sum_]},
                        .norm = norm_.arguments(context)});
  if (context.caches != nullptr) {
    b.run(op::Copy{.from = x.rows(x.rows() - 1, 1), .to = context.cache(conv1_.last_input)});
    b.run(op::Copy{.from = conv1.rows(x.rows() - 1, 1), .to = context.cache(conv2_.last_input)});
  }
}

void Lfa::recompute(const BlockContext& context) const { norm_.forward(context, context[sum_]); }

// The shifted sum of the second convolution's partial products commutes with the sum over ranks; its bias is
// added once.
void Lfa::forward_by_channels(const BlockContext& context, TensorView x, TensorView all) const {
  Backend& b = context.backend;
  const Rows r = rows(context);
  linear_forward(context, context.linear(conv1_.product), all, products(context, conv1_));
  b.run(op::LfaTaps{.products = products(context, conv1_),
                    .borders = r.borders,
                    .samples = r.samples,
                    .bias = context.weight(conv1_.bias),
                    .out = context[conv1_out_]});
  linear_forward(context, context.linear(conv2_.product), context[conv1_out_], products(context, conv2_));
  b.run(op::LfaTaps{.products = products(context, conv2_),
                    .borders = r.borders,
                    .samples = r.samples,
                    .bias = context.ranks.rank() == 0 ? context.weight(conv2_.bias) : TensorView(),
                    .out = context[conv2_out_]});
  const TensorView conv2 = context.sum(context[conv2_out_], context[conv2_shard_]);
  b.run(op::ResidualNorm{.sum = {.branch = conv2, .x = x, .out = context[sum_]},
                         .norm = norm_.arguments(context)});
}

void Lfa::taps_backward(const BlockContext& context, const Convolution& c, TensorView d_out) const {
  const Rows r = rows(context);
  context.backend.run(op::LfaTapsBackward{.d_out = d_out,
                                          .borders = r.borders,
                                          .samples = r.samples,
                                          .d_products = context[c.d_products],
                                          .d_before = context[c.d_before],
                                          .d_bias = context.gradient(c.bias)});
}

void Lfa::gradient_from_right(const BlockContext& context, const Convolution& c) const {
  if (!by_tokens_) return;
  const TensorView d_products = context[c.d_products];
  context.ranks.pass_left(context.backend.queue(), context[c.d_before],
                          d_products.rows(d_products.rows() - 1, 1).slice_columns(0, c.outputs));
}

TensorView Lfa::backward(const BlockContext& context, TensorView x, TensorView all, TensorView d_out,
                         TensorView d_partial) const {
  const TensorView d_sum = context[d_sum_];
  norm_.backward(context, d_out, context[sum_], {}, d_sum);
  taps_backward(context, conv2_, by_channels_ ? context.gather(d_sum, context[d_sum_all_]) : d_sum);
  gradient_from_right(context, conv2_);
  linear_backward(context, context.linear(conv2_.product), context[conv2_.d_products], context[conv1_out_],
                  context[d_conv1_]);
  taps_backward(context, conv1_, context[d_conv1_]);
  gradient_from_right(context, conv1_);
  // Beside the residual's share, where it is complete.
  if (by_channels_)
    linear_backward(context, context.linear(conv1_.product), context[conv1_.d_products], all, d_partial);
  else
    linear_backward(context, context.linear(conv1_.product), context[conv1_.d_products], x, d_sum, true);
  return d_sum;
}

}  // namespace headwater
