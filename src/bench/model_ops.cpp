#include "model_ops.h"

#include "headwater/base/random.h"
#include "headwater/nn/stage.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>
#include <vector>

namespace headwater {
namespace {

std::string text_of(std::initializer_list<std::int64_t> shape) { return to_string(Shape(shape)); }

class ModelOps {
 public:
  ModelOps(const ModelSpec& model, BatchShape batch, Precision precision, Device::Kind device,
           const std::function<void(const ModelOp&)>& visit)
      : visit_(visit),
        model_(model),
        layer_(model.layers.front()),
        batch_(batch),
        compute_(precision.compute),
        sums_(precision.accumulate),
        tokens_(batch.tokens()),
        hidden_(model.hidden),
        vocabulary_(model.padded_vocabulary({})),
        block_(head_block(model, {}, batch, precision, device)) {}

  void products() const;
  void attention(double dropout_probability) const;
  void rotary() const;
  void filter() const;
  void norms() const;
  void mlp() const;
  void embedding() const;
  void cross_entropy() const;
  void update() const;

 private:
  void add(const char* op, std::string what, std::string shape, std::function<OpCall(Operands&)> make) const {
    visit_({op, std::move(what), std::move(shape), std::move(make)});
  }
  void product(const char* what, std::int64_t rows, std::int64_t outputs, std::int64_t inputs) const;
  void taps(const char* what, std::int64_t channels) const;

  struct Heads {
    TensorView q, k, v, rotated;
  };
  Heads heads(Operands& o) const;
  AttentionArgs attention_arguments(Operands& o, double dropout_probability) const;
  TensorView tokens(Operands& o, std::int64_t rows) const;
  Borders borders(Operands& o) const;
  Dropout dropout(Operands& o, double probability) const;
  TensorView scalars(Operands& o) const;
  TensorView softmax_statistics(Operands& o) const;

  const std::function<void(const ModelOp&)>& visit_;
  const ModelSpec& model_;
  const LayerSpec& layer_;
  const BatchShape batch_;
  const DType compute_, sums_;
  const std::int64_t tokens_, hidden_, vocabulary_, block_;
};

// ---- operands that several ops take ----

TensorView ModelOps::tokens(Operands& o, std::int64_t rows) const {
  const RandomKey key = derive(RandomKey{2}, "tokens");
  return o.take_integers({rows}, [&](std::int64_t i) {
    return static_cast<std::int32_t>(uniform(key, static_cast<std::uint64_t>(i)) *
                                     static_cast<double>(model_.vocabulary));
  });
}

// Each sample is one document.
Borders ModelOps::borders(Operands& o) const {
  const auto first = [&](std::int64_t t) {
    return static_cast<std::int32_t>(t / batch_.sequence * batch_.sequence);
  };
  return {o.take_integers({tokens_}, first), 0};
}

Dropout ModelOps::dropout(Operands& o, double probability) const {
  Dropout dropout;
  dropout.probability = probability;
  if (dropout.on())
    dropout.keys =
        o.take_integers({batch_.samples, 2}, [](std::int64_t i) { return static_cast<std::int32_t>(i + 1); });
  return dropout;
}

TensorView ModelOps::scalars(Operands& o) const {
  std::array<double, kStepScalars> values{};
  const auto at = [&](StepScalar which) -> double& { return values[static_cast<std::size_t>(which)]; };
  at(StepScalar::targets) = static_cast<double>(tokens_);
  at(StepScalar::learning_rate) = 1e-4;
  at(StepScalar::updates) = at(StepScalar::clip_factor) = at(StepScalar::apply) = 1.0;
  return o.take_copy(TensorView(values.data(), DType::f64, {kStepScalars}));
}

// Of rows whose logits are as large as operands are: the gradient takes their place, and is taken for logits
// by the next call.
TensorView ModelOps::softmax_statistics(Operands& o) const {
  std::vector<float> host;
  const float sum = static_cast<float>(model_.vocabulary);
  for (std::int64_t row = 0; row < block_; ++row) host.insert(host.end(), {0.125F, sum, 0.0F});
  return o.take_copy(TensorView(host.data(), sums_, {block_, 3}));
}

// As a block holds them: with LFA q and k are one product's, without it v too.
ModelOps::Heads ModelOps::heads(Operands& o) const {
  const std::int64_t width = layer_.query_width(), keys = layer_.key_width(), size = layer_.head_dim;
  const bool apart = layer_.filter == FilterKind::lfa;
  const TensorView all = o.take(compute_, {tokens_, width + (apart ? 1 : 2) * keys});
  const auto part = [&](std::int64_t begin, std::int64_t columns) {
    return all.slice_columns(begin, columns).reshaped({tokens_, columns / size, size});
  };
  return {part(0, width), part(width, keys),
          apart ? o.take(compute_, {tokens_, layer_.kv_heads, size}) : part(width + keys, keys),
          part(0, width + keys)};
}

AttentionArgs ModelOps::attention_arguments(Operands& o, double dropout_probability) const {
  const Heads of = heads(o);
  AttentionArgs args;
  args.q = of.q;
  args.k = of.k;
  args.v = of.v;
  args.samples = batch_.samples;
  args.borders = borders(o);
  args.scale = 1.0 / std::sqrt(static_cast<double>(layer_.head_dim));
  args.dropout = dropout(o, dropout_probability);
  return args;
}

// ---- the ops ----

void ModelOps::product(const char* what, std::int64_t rows, std::int64_t outputs, std::int64_t inputs) const {
  const Shape x{rows, inputs}, w{outputs, inputs}, y{rows, outputs};
  add("linear", what, to_string(x) + " x " + to_string(w), [=, this](Operands& o) -> OpCall {
    const TensorView in = o.take(compute_, x), out = o.take(compute_, y);
    const Weight weight{o.take(compute_, w), {}};
    return [=](Backend& b) { b.linear(in, weight, out); };
  });
  add("linear_input_gradient", what, to_string(y) + " x " + to_string(w), [=, this](Operands& o) -> OpCall {
    const TensorView in = o.take(compute_, y), out = o.take(compute_, x);
    const Weight weight{o.take(compute_, w), {}};
    return [=](Backend& b) { b.linear_input_gradient(in, weight, out, false); };
  });
  add("linear_weight_gradient", what, to_string(y) + " x " + to_string(x), [=, this](Operands& o) -> OpCall {
    const TensorView dy = o.take(compute_, y), in = o.take(compute_, x), dw = o.take(sums_, w);
    return [=](Backend& b) { b.linear_weight_gradient(dy, in, dw); };
  });
}

void ModelOps::products() const {
  const std::int64_t queries = layer_.query_width(), keys = layer_.key_width();
  if (layer_.filter == FilterKind::lfa) {
    product("lfa.conv1", tokens_, 2 * layer_.filter_channels(), hidden_);
    product("lfa.conv2", tokens_, 2 * hidden_, layer_.filter_channels());
    product("attention.qk", tokens_, queries + keys, hidden_);
    product("attention.v", tokens_, keys, hidden_);
  } else {
    product("attention.qkv", tokens_, queries + 2 * keys, hidden_);
  }
  product("attention.o", tokens_, hidden_, queries);
  product("mlp.gate_up", tokens_, 2 * layer_.ffn, hidden_);
  product("mlp.down", tokens_, hidden_, layer_.ffn);
  product("head", block_, vocabulary_, hidden_);
}

void ModelOps::attention(double dropout_probability) const {
  const std::string what = dropout_probability > 0.0 ? fmt::format("dropout {:g}", dropout_probability) : "";
  const std::string shape = fmt::format("{} x {} tokens, {} heads of {}, {} of keys", batch_.samples,
                                        batch_.sequence, layer_.heads, layer_.head_dim, layer_.kv_heads);
  const Shape by_heads{tokens_, layer_.heads, layer_.head_dim}, of_rows{tokens_, layer_.heads};
  add("attention", what, shape, [=, this](Operands& o) -> OpCall {
    const AttentionArgs args = attention_arguments(o, dropout_probability);
    const TensorView out = o.take(compute_, by_heads), lse = o.take(sums_, of_rows);
    return [=](Backend& b) { b.attention(args, out, lse); };
  });
  add("attention_backward", what, shape, [=, this](Operands& o) -> OpCall {
    const AttentionArgs args = attention_arguments(o, dropout_probability);
    const TensorView out = o.take(compute_, by_heads), lse = o.take(sums_, of_rows),
                     d_out = o.take(compute_, by_heads);
    const Heads d = heads(o);
    return [=](Backend& b) { b.attention_backward(args, out, lse, d_out, d.q, d.k, d.v); };
  });
}

void ModelOps::rotary() const {
  add("rotary", "", text_of({tokens_, layer_.heads + layer_.kv_heads, layer_.head_dim}),
      [this](Operands& o) -> OpCall {
        const TensorView x = heads(o).rotated;
        const auto place = [&](std::int64_t t) { return static_cast<std::int32_t>(t % batch_.sequence); };
        const TensorView position = o.take_integers({tokens_}, place);
        std::vector<float> turns(static_cast<std::size_t>(batch_.sequence * layer_.head_dim));
        const TensorView host(turns.data(), DType::f32, {batch_.sequence, layer_.head_dim / 2, 2});
        fill_rotary_table(host, layer_.rotary_base);
        const TensorView table = o.take_copy(host);
        return [=](Backend& b) { b.rotary(x, position, table, false); };
      });
}

void ModelOps::taps(const char* what, std::int64_t channels) const {
  add("lfa_taps_backward", what, text_of({tokens_, channels}), [=, this](Operands& o) -> OpCall {
    const TensorView d_out = o.take(compute_, {tokens_, channels}),
                     d_products = o.take(compute_, {tokens_, 2 * channels});
    const TensorView d_bias = o.take(sums_, {channels});
    const Borders starts = borders(o);
    return [=, samples = batch_.samples](Backend& b) {
      b.lfa_taps_backward(d_out, starts, samples, d_products, {}, d_bias);
    };
  });
}

void ModelOps::filter() const {
  const std::int64_t channels = layer_.filter_channels();
  add("lfa_taps", "lfa.conv1", text_of({tokens_, channels}), [=, this](Operands& o) -> OpCall {
    const TensorView products = o.take(compute_, {tokens_, 2 * channels}),
                     bias = o.take(compute_, {channels});
    const TensorView out = o.take(compute_, {tokens_, channels});
    const Borders starts = borders(o);
    return [=, samples = batch_.samples](Backend& b) {
      b.lfa_taps(products, starts, samples, {}, bias, {}, out);
    };
  });
  add("lfa_taps_rms_norm", "lfa.conv2", text_of({tokens_, hidden_}), [=, this](Operands& o) -> OpCall {
    const TensorView products = o.take(compute_, {tokens_, 2 * hidden_}), bias = o.take(compute_, {hidden_});
    const TensorView x = o.take(compute_, {tokens_, hidden_}), gain = o.take(compute_, {hidden_});
    const TensorView z = o.take(compute_, {tokens_, hidden_}), y = o.take(compute_, {tokens_, hidden_});
    const TensorView rstd = o.take(sums_, {tokens_});
    const Borders starts = borders(o);
    return [=, samples = batch_.samples, epsilon = layer_.norm_epsilon](Backend& b) {
      b.lfa_taps_rms_norm(products, starts, samples, {}, bias, x, gain, epsilon, z, y, rstd);
    };
  });
  taps("lfa.conv1", channels);
  taps("lfa.conv2", hidden_);
}

// With the residual additions, one of which is fused with a norm.
void ModelOps::norms() const {
  const Shape shape{tokens_, hidden_};
  const std::string text = to_string(shape);
  const double epsilon = layer_.norm_epsilon, probability = layer_.hidden_dropout;
  add("rms_norm", "", text, [=, this](Operands& o) -> OpCall {
    const TensorView x = o.take(compute_, shape), gain = o.take(compute_, {hidden_});
    const TensorView y = o.take(compute_, shape), rstd = o.take(sums_, {tokens_});
    return [=](Backend& b) { b.rms_norm(x, gain, epsilon, y, rstd); };
  });
  add("rms_norm_backward", "", text, [=, this](Operands& o) -> OpCall {
    const TensorView dy = o.take(compute_, shape), x = o.take(compute_, shape),
                     gain = o.take(compute_, {hidden_});
    const TensorView rstd = o.take_positive(sums_, {tokens_}), dx = o.take(compute_, shape);
    const TensorView d_gain = o.take(sums_, {hidden_});
    return [=](Backend& b) { b.rms_norm_backward(dy, x, gain, rstd, dx, false, d_gain); };
  });
  add("residual_add", "", text, [=, this](Operands& o) -> OpCall {
    const TensorView branch = o.take(compute_, shape), x = o.take(compute_, shape),
                     out = o.take(compute_, shape);
    const Dropout mask = dropout(o, probability);
    return [=](Backend& b) { b.residual_add(branch, x, mask, out); };
  });
  add("residual_rms_norm", "", text, [=, this](Operands& o) -> OpCall {
    const TensorView branch = o.take(compute_, shape), x = o.take(compute_, shape),
                     gain = o.take(compute_, {hidden_});
    const TensorView out = o.take(compute_, shape), y = o.take(compute_, shape),
                     rstd = o.take(sums_, {tokens_});
    const Dropout mask = dropout(o, probability);
    return [=](Backend& b) { b.residual_rms_norm(branch, x, mask, gain, epsilon, out, y, rstd); };
  });
  if (probability == 0.0) return;
  add("dropout_backward", "", text, [=, this](Operands& o) -> OpCall {
    const TensorView d_out = o.take(compute_, shape), d_branch = o.take(compute_, shape);
    const Dropout mask = dropout(o, probability);
    return [=](Backend& b) { b.dropout_backward(d_out, mask, d_branch); };
  });
}

void ModelOps::mlp() const {
  const Shape wide{tokens_, 2 * layer_.ffn}, narrow{tokens_, layer_.ffn};
  add("swiglu", "", to_string(narrow), [=, this](Operands& o) -> OpCall {
    const TensorView x = o.take(compute_, wide), out = o.take(compute_, narrow);
    return [=](Backend& b) { b.swiglu(x, out); };
  });
  add("swiglu_backward", "", to_string(narrow), [=, this](Operands& o) -> OpCall {
    const TensorView d_out = o.take(compute_, narrow), x = o.take(compute_, wide),
                     dx = o.take(compute_, wide);
    return [=](Backend& b) { b.swiglu_backward(d_out, x, dx); };
  });
}

void ModelOps::embedding() const {
  const Shape rows{tokens_, hidden_}, table{vocabulary_, hidden_};
  const std::string text = to_string(rows) + " of " + to_string(table);
  add("embedding", "", text, [=, this](Operands& o) -> OpCall {
    const TensorView ids = tokens(o, tokens_), weight = o.take(compute_, table), out = o.take(compute_, rows);
    return [=](Backend& b) { b.embedding(ids, weight, 0, out); };
  });
  add("embedding_backward", "", text, [=, this](Operands& o) -> OpCall {
    const TensorView ids = tokens(o, tokens_), d_out = o.take(compute_, rows), d_table = o.take(sums_, table);
    return [=](Backend& b) { b.embedding_backward(ids, d_out, 0, d_table); };
  });
}

void ModelOps::cross_entropy() const {
  const Shape shape{block_, vocabulary_};
  const std::string text = to_string(shape);
  add("softmax_statistics", "", text, [=, this](Operands& o) -> OpCall {
    const TensorView logits = o.take(compute_, shape), labels = tokens(o, block_),
                     statistics = o.take(sums_, {block_, 3});
    return [=, valid = model_.vocabulary](Backend& b) {
      b.softmax_statistics(logits, labels, 0, valid, statistics);
    };
  });
  add("cross_entropy_backward", "", text, [=, this](Operands& o) -> OpCall {
    const TensorView logits = o.take(compute_, shape), labels = tokens(o, block_),
                     statistics = softmax_statistics(o);
    const TensorView step = scalars(o);
    return [=, valid = model_.vocabulary](Backend& b) {
      b.cross_entropy_backward(logits, labels, 0, valid, statistics, step);
    };
  });
}

// Of the largest parameter; gradients are cleared, summed up and used so.
void ModelOps::update() const {
  const std::int64_t count = vocabulary_ * hidden_;
  const std::string text = text_of({count});
  add("zero", "", text, [=, this](Operands& o) -> OpCall {
    const TensorView x = o.take(sums_, {count});
    return [=](Backend& b) { b.zero(x); };
  });
  add("add_squared_norm", "", text, [=, this](Operands& o) -> OpCall {
    const TensorView x = o.take(sums_, {count}), sum = o.take(DType::f64, {1});
    return [=](Backend& b) { b.add_squared_norm(x, sum); };
  });
  add("adamw", "", text, [=, this](Operands& o) -> OpCall {
    AdamWArgs args;
    args.master = o.take(sums_, {count});
    args.gradient = o.take(sums_, {count});
    args.first_moment = o.take(sums_, {count});
    args.second_moment = o.take_positive(sums_, {count});
    args.weight = compute_ == sums_ ? args.master : o.take(compute_, {count});
    const TensorView step = scalars(o);
    return [=](Backend& b) { b.adamw(args, step); };
  });
}

}  // namespace

void for_each_model_op(const ModelSpec& model, BatchShape batch, Precision precision, Device::Kind device,
                       const std::function<void(const ModelOp&)>& visit) {
  const ModelOps ops(model, batch, precision, device, visit);
  const LayerSpec& layer = model.layers.front();
  ops.products();
  ops.attention(0.0);
  if (layer.attention_dropout > 0.0) ops.attention(layer.attention_dropout);
  ops.rotary();
  if (layer.filter == FilterKind::lfa) ops.filter();
  ops.norms();
  ops.mlp();
  ops.embedding();
  ops.cross_entropy();
  ops.update();
}

}  // namespace headwater
