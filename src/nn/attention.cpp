#include "headwater/nn/attention.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace headwater {

void Attention::share_out_heads(UnitDescription& d, std::int64_t heads, std::int64_t kv_heads) {
  d.share_out({"model.num_attention_heads", heads});
  d.share_out({"model.num_query_groups", kv_heads, true});
}

Attention::Attention(UnitDescription& d, const Options& o, std::unique_ptr<Filter> filter,
                     std::unique_ptr<Positions> positions)
    : unit_(d.unit()),
      heads_(o.heads / d.sharding().tensor),
      kv_heads_(std::max<std::int64_t>(1, o.kv_heads / d.sharding().tensor)),
      head_dim_(o.head_dim),
      dropout_(o.dropout),
      input_(o.input),
      branch_(o.branch),
      filter_(std::move(filter)),
      positions_(std::move(positions)) {
  d.reads(BatchArray::attention_start);
  if (dropout_ > 0.0) d.reads(BatchArray::dropout_keys);
  const std::string prefix = o.prefix + "attention.";
  const std::int64_t queries = o.heads * o.head_dim, keys = o.kv_heads * o.head_dim;
  const Init normal{Init::Kind::normal, o.init_std};
  ParameterCut by_kv_heads = ParameterCut::along(0, o.head_dim);
  by_kv_heads.repeat = std::max<std::int64_t>(1, d.sharding().tensor / o.kv_heads);
  const ParameterId q = d.parameter(prefix + "q.weight", {queries, o.hidden}, normal,
                                    ParameterCut::along(0, o.head_dim)),
                    k = d.parameter(prefix + "k.weight", {keys, o.hidden}, normal, by_kv_heads),
                    v = d.parameter(prefix + "v.weight", {keys, o.hidden}, normal, by_kv_heads);
  d.join(k);
  d.join(v);
  if (filter_) {
    qk_ = d.product("attention.qk", q, k);
    v_ = d.product("attention.v", v);
  } else {
    qk_ = d.product("attention.qkv", q, v);
  }
  o_ = d.product("attention.o",
                 d.parameter(prefix + "o.weight", {o.hidden, queries}, {Init::Kind::normal, o.output_std},
                             ParameterCut::along(1, o.head_dim)));

  const std::int64_t tokens = d.tokens(), width = heads_ * head_dim_, key_width = kv_heads_ * head_dim_;
  const Shape whole{tokens, o.hidden}, local{d.local_tokens(), o.hidden};
  const DType c = d.compute();
  const bool cut = d.tokens_are_cut();
  const ProductId of_input = filter_ ? v_ : qk_;
  gathered_ =
      Gathered(d, "attention_norm", o.hidden, d.trained(of_input) || (filter_ && filter_->trains_on_all()));
  d.keep_for_product(input_, of_input);
  if (filter_) {
    d.keep_for_product(filter_->out(), qk_);
    filtered_ = Gathered(d, "lfa", o.hidden, d.trained(qk_));
    qk_out_ = d.forward_tensor("attention.qk", {tokens, width + key_width}, c, Kept::until_input_gradient);
    v_out_ = d.forward_tensor("attention.v", {tokens, key_width}, c, Kept::until_input_gradient);
  } else {
    qk_out_ =
        d.forward_tensor("attention.qkv", {tokens, width + 2 * key_width}, c, Kept::until_input_gradient);
  }
  lse_ = d.forward_tensor("attention.lse", {tokens, heads_}, d.accumulate(), Kept::until_input_gradient,
                          Dropped::by_selective);
  out_ = d.forward_tensor("attention.out", {tokens, width}, c, d.kept_for(o_, Kept::until_input_gradient),
                          Dropped::by_selective);

  if (cut) d_branch_all_ = d.backward_tensor("attention.d_branch.all", whole, c, d.kept_for(o_));
  d_out_ = d.backward_tensor("attention.d_out", {tokens, width}, c, Kept::scratch);
  if (filter_) {
    d_qk_ = d.backward_tensor("attention.d_qk", {tokens, width + key_width}, c, d.kept_for(qk_));
    d_v_ = d.backward_tensor("attention.d_v", {tokens, key_width}, c, d.kept_for(v_));
    d_filtered_ = d.backward_tensor("lfa.d_out", whole, c, Kept::scratch);
    if (cut) d_filtered_shard_ = d.backward_tensor("lfa.d_out.shard", local, c, Kept::scratch);
  } else {
    d_qk_ = d.backward_tensor("attention.d_qkv", {tokens, width + 2 * key_width}, c, d.kept_for(qk_));
  }
  if (d.several() || !filter_) d_input_ = d.backward_tensor("attention_norm.d_out", whole, c, Kept::scratch);
  if (cut) d_input_shard_ = d.backward_tensor("attention_norm.d_out.shard", local, c, Kept::scratch);

  const Shape cached{d.cached_tokens(), kv_heads_, head_dim_};
  keys_ = d.cache("keys", cached);
  values_ = d.cache("values", cached);
}

Attention::Heads Attention::heads(TensorView qk, TensorView v) const {
  const std::int64_t tokens = qk.rows(), width = heads_ * head_dim_, keys = kv_heads_ * head_dim_;
  const auto part = [&](std::int64_t begin, std::int64_t columns) {
    return qk.slice_columns(begin, columns).reshaped({tokens, columns / head_dim_, head_dim_});
  };
  return {part(0, width), part(width, keys),
          v ? v.reshaped({tokens, kv_heads_, head_dim_}) : part(width + keys, keys), part(0, width + keys)};
}

TensorView Attention::by_heads(TensorView x) const { return x.reshaped({x.rows(), heads_, head_dim_}); }

AttentionArguments Attention::arguments(const BlockContext& context, const Heads& heads) const {
  AttentionArguments args;
  args.q = heads.q;
  args.k = heads.k;
  args.v = heads.v;
  args.samples = context.batch.shape.samples;
  args.borders = context.attention_borders();
  args.scale = 1.0 / std::sqrt(static_cast<double>(head_dim_));
  args.dropout = context.dropout_at(dropout_, unit_, 0);
  args.first_head = context.ranks.rank() * heads_;
  return args;
}

TensorView Attention::forward(const BlockContext& context) const {
  project(context);
  attend(context);
  linear_forward(context, context.linear(o_), context[out_], context[branch_.partial]);
  return context.sum(context[branch_.partial], context[branch_.shard]);
}

void Attention::recompute(const BlockContext& context) const {
  if (filter_) filter_->recompute(context);
  attend(context);
}

void Attention::project(const BlockContext& context) const {
  const TensorView x = context[input_], all = context.gather(x, context[gathered_.all]);
  if (filter_) {
    filter_->forward(context, x, all);
    const TensorView filtered = context.gather(context[filter_->out()], context[filtered_.all]);
    linear_forward(context, context.linear(qk_), filtered, context[qk_out_]);
    linear_forward(context, context.linear(v_), all, context[v_out_]);
  } else {
    linear_forward(context, context.linear(qk_), all, context[qk_out_]);
  }
  if (positions_) positions_->forward(context, heads(context[qk_out_], context[v_out_]).queries_and_keys);
}

void Attention::attend(const BlockContext& context) const {
  const Heads h = heads(context[qk_out_], context[v_out_]);
  AttentionArguments args = arguments(context, h);
  const TensorView out = by_heads(context[out_]);
  if (context.caches != nullptr) {
    const std::int64_t cached = context.batch.first, tokens = out.rows(), all = cached + tokens;
    const TensorView keys = context.cache(keys_), values = context.cache(values_);
    context.backend.run(op::Copy{.from = h.k, .to = keys.rows(cached, tokens)});
    context.backend.run(op::Copy{.from = h.v, .to = values.rows(cached, tokens)});
    args.k = keys.rows(0, all);
    args.v = values.rows(0, all);
    args.query_offset = cached;
    args.borders.offset = 0;  // the starts count on the keys' axis, which is whole here
  }
  context.backend.run(op::Attention{.of = args, .out = out, .lse = context[lse_]});
}

TensorView Attention::backward(const BlockContext& context, TensorView d_branch) const {
  linear_backward(context, context.linear(o_), context.gather(d_branch, context[d_branch_all_]),
                  context[out_], context[d_out_]);

  const Heads h = heads(context[qk_out_], context[v_out_]), d = heads(context[d_qk_], context[d_v_]);
  context.backend.run(op::AttentionBackward{.of = arguments(context, h),
                                            .out = by_heads(context[out_]),
                                            .lse = context[lse_],
                                            .d_out = by_heads(context[d_out_]),
                                            .dq = d.q,
                                            .dk = d.k,
                                            .dv = d.v});
  if (positions_) positions_->backward(context, d.queries_and_keys);

  if (filter_) return filter_backward(context);
  linear_backward(context, context.linear(qk_), context[d_qk_],
                  context.gather_again(context[input_], gathered_.again), context[d_input_]);
  return context.sum(context[d_input_], context[d_input_shard_]);
}

// x has three shares in its gradient: by the filter's residual, complete on every rank; by its first
// convolution, and by V, of which each rank may hold a part only.
TensorView Attention::filter_backward(const BlockContext& context) const {
  const TensorView x = context[input_], d_partial = context[d_input_];
  const TensorView filtered = context.gather_again(context[filter_->out()], filtered_.again);
  linear_backward(context, context.linear(qk_), context[d_qk_], filtered, context[d_filtered_]);
  const TensorView d_filtered = context.sum(context[d_filtered_], context[d_filtered_shard_]);
  const TensorView all = context.gather_again(x, gathered_.again);

  const TensorView d_x = filter_->backward(context, x, all, d_filtered, d_partial);
  if (!context.ranks.several()) {
    linear_backward(context, context.linear(v_), context[d_v_], all, d_x, true);
    return d_x;
  }
  linear_backward(context, context.linear(v_), context[d_v_], all, d_partial, filter_->adds_to_partial());
  context.backend.run(op::Add{.x = context.sum(d_partial, context[d_input_shard_]), .y = d_x});
  return d_x;
}

}  // namespace headwater
