#include "headwater/nn/attention.h"

#include <cmath>

namespace headwater {

Attention::Tensors::Tensors(const NamedTensors& named)
    : input_all(named.find("attention_norm.all")),
      filtered_all(named.find("lfa.all")),
      qk(named.find("attention.qk")),
      v(named.find("attention.v")),
      lse(named.at("attention.lse")),
      out(named.at("attention.out")),
      branch(named.at("branch")),
      branch_shard(named.find("branch.shard")),
      d_branch(named.find("attention.d_branch")),
      d_branch_all(named.find("attention.d_branch.all")),
      d_out(named.find("attention.d_out")),
      d_qk(named.find("attention.d_qk")),
      d_v(named.find("attention.d_v")),
      input_again(named.find("attention_norm.again")),
      filtered_again(named.find("lfa.again")),
      d_input(named.find("attention_norm.d_out")),
      d_input_shard(named.find("attention_norm.d_out.shard")) {
  if (named.find("lfa.out")) {
    lfa.emplace(named);
  } else {
    qk = named.at("attention.qkv");
    d_qk = named.find("attention.d_qkv");
  }
}

Attention::Attention(const LayerSpec& layer, int unit, const std::string& prefix, ParameterStore& store,
                     TensorView rotary_table, const Sharding& sharding)
    : layer_(layer),
      shard_(layer, sharding),
      unit_(unit),
      table_(rotary_table),
      o_(store.linear(prefix + "attention.o.weight")) {
  const std::string q = prefix + "attention.q.weight", k = prefix + "attention.k.weight",
                    v = prefix + "attention.v.weight";
  if (layer.filter == FilterKind::lfa) {
    lfa_.emplace(layer, prefix, store, sharding);
    qk_ = store.linear(q, k);
    v_ = store.linear(v);
  } else {
    qk_ = store.linear(q, v);
  }
}

Attention::Heads Attention::heads(TensorView qk, TensorView v) const {
  const std::int64_t tokens = qk.rows(), width = shard_.query_width, keys = shard_.key_width,
                     size = layer_.head_dim;
  const auto part = [&](std::int64_t begin, std::int64_t columns) {
    return qk.slice_columns(begin, columns).reshaped({tokens, columns / size, size});
  };
  return {part(0, width), part(width, keys),
          v ? v.reshaped({tokens, shard_.kv_heads, size}) : part(width + keys, keys), part(0, width + keys)};
}

AttentionArguments Attention::arguments(const BlockContext& context, const Heads& heads) const {
  AttentionArguments args;
  args.q = heads.q;
  args.k = heads.k;
  args.v = heads.v;
  args.samples = context.batch.shape.samples;
  args.borders = context.attention_borders();
  args.scale = 1.0 / std::sqrt(static_cast<double>(layer_.head_dim));
  args.dropout = context.dropout_at(layer_.attention_dropout, unit_, 0);
  args.first_head = context.ranks.rank() * shard_.heads;
  return args;
}

TensorView Attention::forward(const BlockContext& context, const Tensors& t, TensorView x) const {
  project(context, t, x);
  attend(context, t);
  linear_forward(context, o_, t.out, t.branch);
  return context.sum(t.branch, t.branch_shard);
}

void Attention::recompute(const BlockContext& context, const Tensors& t) const {
  if (lfa_) lfa_->recompute_norm(context, *t.lfa);
  attend(context, t);
}

void Attention::project(const BlockContext& context, const Tensors& t, TensorView x) const {
  const TensorView all = context.gather(x, t.input_all);
  if (lfa_) {
    lfa_->forward(context, *t.lfa, x, all);
    linear_forward(context, qk_, context.gather(t.lfa->out, t.filtered_all), t.qk);
    linear_forward(context, v_, all, t.v);
  } else {
    linear_forward(context, qk_, all, t.qk);
  }
  context.backend.run(
      op::Rotary{.x = heads(t.qk, t.v).rotated, .position = context.batch.position, .table = table_});
}

void Attention::attend(const BlockContext& context, const Tensors& t) const {
  Backend& b = context.backend;
  const Heads h = heads(t.qk, t.v);
  AttentionArguments args = arguments(context, h);
  if (context.cache != nullptr) {
    const std::int64_t cached = context.batch.first, tokens = t.out.rows(), all = cached + tokens;
    b.run(op::Copy{.from = h.k, .to = context.cache->keys.rows(cached, tokens)});
    b.run(op::Copy{.from = h.v, .to = context.cache->values.rows(cached, tokens)});
    args.k = context.cache->keys.rows(0, all);
    args.v = context.cache->values.rows(0, all);
    args.query_offset = cached;
    args.borders.offset = 0;  // the starts count on the keys' axis, which is whole here
  }
  const TensorView out = t.out.reshaped({t.out.rows(), shard_.heads, layer_.head_dim});
  b.run(op::Attention{.of = args, .out = out, .lse = t.lse});
}

TensorView Attention::backward(const BlockContext& context, const Tensors& t, TensorView x,
                               TensorView d_branch) const {
  Backend& b = context.backend;
  const Shape by_heads{t.out.rows(), shard_.heads, layer_.head_dim};
  linear_backward(context, o_, context.gather(d_branch, t.d_branch_all), t.out, t.d_out);

  const Heads h = heads(t.qk, t.v), d = heads(t.d_qk, t.d_v);
  b.run(op::AttentionBackward{.of = arguments(context, h),
                              .out = t.out.reshaped(by_heads),
                              .lse = t.lse,
                              .d_out = t.d_out.reshaped(by_heads),
                              .dq = d.q,
                              .dk = d.k,
                              .dv = d.v});
  b.run(op::Rotary{.x = d.rotated, .position = context.batch.position, .table = table_, .inverse = true});

  if (lfa_) return filter_backward(context, t, x);
  linear_backward(context, qk_, t.d_qk, context.gather(x, t.input_again), t.d_input);
  return context.sum(t.d_input, t.d_input_shard);
}

// x has three shares in its gradient: by the filter's residual, complete on every rank; by its first
// convolution, and by V, of which each rank may hold a part only.
TensorView Attention::filter_backward(const BlockContext& context, const Tensors& t, TensorView x) const {
  const TensorView filtered = context.gather(t.lfa->out, t.filtered_again);
  linear_backward(context, qk_, t.d_qk, filtered, t.lfa->d_out);
  const TensorView d_filtered = context.sum(t.lfa->d_out, t.lfa->d_out_shard);
  const TensorView all = context.gather(x, t.input_again);

  lfa_->backward(context, *t.lfa, x, all, d_filtered, t.d_input);
  const TensorView d_x = t.lfa->d_sum;
  if (!context.ranks.several()) {
    linear_backward(context, v_, t.d_v, all, d_x, true);
    return d_x;
  }
  linear_backward(context, v_, t.d_v, all, t.d_input, lfa_->by_channels());
  context.backend.run(op::Add{.x = context.sum(t.d_input, t.d_input_shard), .y = d_x});
  return d_x;
}

}  // namespace headwater
