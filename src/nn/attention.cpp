#include "headwater/nn/attention.h"

#include <cmath>

namespace headwater {

Attention::Tensors::Tensors(const NamedTensors& named)
    : qk(named.find("attention.qk")),
      v(named.find("attention.v")),
      lse(named.at("attention.lse")),
      out(named.at("attention.out")),
      branch(named.at("branch")),
      d_branch(named.find("attention.d_branch")),
      d_out(named.find("attention.d_out")),
      d_qk(named.find("attention.d_qk")),
      d_v(named.find("attention.d_v")),
      d_input(named.find("attention_norm.d_out")) {
  if (named.find("lfa.out")) {
    lfa.emplace(named);
    d_input = lfa->d_sum;
  } else {
    qk = named.at("attention.qkv");
    d_qk = named.find("attention.d_qkv");
  }
}

Attention::Attention(const LayerSpec& layer, int unit, const std::string& prefix, ParameterStore& store,
                     TensorView rotary_table)
    : layer_(layer), unit_(unit), table_(rotary_table), o_(store.linear(prefix + "attention.o.weight")) {
  const std::string q = prefix + "attention.q.weight", k = prefix + "attention.k.weight", v = prefix + "attention.v.weight";
  if (layer.filter == FilterKind::lfa) {
    lfa_.emplace(layer, prefix, store);
    qk_ = store.linear(q, k);
    v_ = store.linear(v);
  } else {
    qk_ = store.linear(q, v);
  }
}

Attention::Heads Attention::heads(TensorView qk, TensorView v) const {
  const std::int64_t tokens = qk.rows(), width = layer_.query_width(), keys = layer_.key_width(), size = layer_.head_dim;
  const auto part = [&](std::int64_t begin, std::int64_t columns) {
    return qk.slice_columns(begin, columns).reshaped({tokens, columns / size, size});
  };
  return {part(0, width), part(width, keys),
          v ? v.reshaped({tokens, layer_.kv_heads, size}) : part(width + keys, keys), part(0, width + keys)};
}

AttentionArgs Attention::arguments(const BlockContext& context, const Heads& heads) const {
  AttentionArgs args;
  args.q = heads.q;
  args.k = heads.k;
  args.v = heads.v;
  args.samples = context.batch.shape.samples;
  args.borders = context.attention_borders();
  args.scale = 1.0 / std::sqrt(static_cast<double>(layer_.head_dim));
  args.dropout = context.dropout_at(layer_.attention_dropout, unit_, 0);
  return args;
}

void Attention::forward(const BlockContext& context, const Tensors& t, TensorView x) const {
  Backend& b = context.backend;
  if (lfa_) {
    lfa_->forward(context, *t.lfa, x);
    b.linear(t.lfa->out, *qk_.weight, t.qk);
    b.linear(x, *v_.weight, t.v);
  } else {
    b.linear(x, *qk_.weight, t.qk);
  }
  const Heads h = heads(t.qk, t.v);
  b.rotary(h.rotated, context.batch.position, table_, false);

  AttentionArgs args = arguments(context, h);
  if (context.cache != nullptr) {
    const std::int64_t cached = context.batch.first, all = cached + x.rows();
    b.copy(h.k, context.cache->keys.rows(cached, x.rows()));
    b.copy(h.v, context.cache->values.rows(cached, x.rows()));
    args.k = context.cache->keys.rows(0, all);
    args.v = context.cache->values.rows(0, all);
    args.query_offset = cached;
    args.borders.offset = 0;  // the starts count on the keys' axis, which is whole here
  }
  const TensorView out = t.out.reshaped({x.rows(), layer_.heads, layer_.head_dim});
  b.attention(args, out, t.lse);
  b.linear(t.out, *o_.weight, t.branch);
}

TensorView Attention::backward(const BlockContext& context, const Tensors& t, TensorView x, TensorView d_branch) const {
  Backend& b = context.backend;
  const Shape by_heads{x.rows(), layer_.heads, layer_.head_dim};
  linear_backward(context, o_, d_branch, t.out, t.d_out);

  const Heads h = heads(t.qk, t.v), d = heads(t.d_qk, t.d_v);
  b.attention_backward(arguments(context, h), t.out.reshaped(by_heads), t.lse, t.d_out.reshaped(by_heads), d.q, d.k, d.v);
  b.rotary(d.rotated, context.batch.position, table_, true);

  if (lfa_) {
    linear_backward(context, qk_, t.d_qk, t.lfa->out, t.lfa->d_out);
    lfa_->backward(context, *t.lfa, x);
    linear_backward(context, v_, t.d_v, x, t.d_input, true);
  } else {
    linear_backward(context, qk_, t.d_qk, x, t.d_input);
  }
  return t.d_input;
}

}  // namespace headwater
