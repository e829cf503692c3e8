#include "headwater/nn/head.h"

#include <algorithm>

namespace headwater {

Head::Tensors::Tensors(const NamedTensors& named)
    : input(named.at("input")),
      rstd(named.at("norm.rstd")),
      normed(named.at("norm.out")),
      normed_all(named.find("norm.all")),
      logits(named.at("logits")),
      statistics(named.at("statistics")),
      statistics_all(named.find("statistics.all")),
      d_normed(named.at("d_norm")),
      d_normed_all(named.find("d_norm.all")) {}

Head::Head(const ModelSpec& model, ParameterStore& store, const TensorRanks& ranks)
    : epsilon_(model.norm_epsilon),
      head_(store.linear(model.tied ? "embedding.weight" : "head.weight")),
      first_(ranks.rank() * head_.weight.rows()),
      valid_(std::clamp<std::int64_t>(model.vocabulary - first_, 0, head_.weight.rows())),
      gain_(store.weight("final_norm.weight")),
      d_gain_(store.gradient("final_norm.weight")) {}

TensorView Head::norm(const BlockContext& context, const Tensors& t) const {
  context.backend.run(
      op::Norm{.x = t.input, .norm = {.gain = gain_, .epsilon = epsilon_, .y = t.normed, .rstd = t.rstd}});
  return context.gather(t.normed, t.normed_all);
}

template <class Body>
void Head::for_blocks(std::int64_t first, std::int64_t rows, std::int64_t block, Body body) const {
  for (std::int64_t begin = first; begin < rows; begin += block) body(begin, std::min(block, rows - begin));
}

Head::Block Head::softmax(const BlockContext& context, const Tensors& t, TensorView normed,
                          TensorView labels) const {
  Backend& b = context.backend;
  const std::int64_t rows = normed.rows();
  const Block block{t.logits.rows(0, rows), t.statistics.rows(0, rows)};
  linear_forward(context, head_, normed, block.logits);
  b.run(op::SoftmaxStatistics{.logits = block.logits,
                              .labels = labels,
                              .first = first_,
                              .valid = valid_,
                              .statistics = block.statistics});
  if (context.ranks.several()) {
    const TensorView all = t.statistics_all.rows(0, context.ranks.sharding().tensor * rows);
    context.ranks.gather_all(b.queue(), block.statistics, all);
    b.run(op::CombineStatistics{.shards = all, .statistics = block.statistics});
  }
  return block;
}

void Head::forward(const BlockContext& context, const Tensors& t, TensorView scalars) const {
  Backend& b = context.backend;
  const TensorView all = norm(context, t), d_all = t.d_normed_all ? t.d_normed_all : t.d_normed;
  for_blocks(0, all.rows(), t.logits.rows(), [&](std::int64_t begin, std::int64_t count) {
    const TensorView normed = all.rows(begin, count), labels = context.batch.labels.rows(begin, count);
    const Block block = softmax(context, t, normed, labels);
    b.run(op::CrossEntropyBackward{.logits = block.logits,
                                   .labels = labels,
                                   .first = first_,
                                   .valid = valid_,
                                   .statistics = block.statistics,
                                   .scalars = scalars});
    b.run(op::LinearInputGradient{.dy = block.logits, .w = head_.weight, .dx = d_all.rows(begin, count)});
    b.run(op::LinearWeightGradient{.dy = block.logits, .x = normed, .dw = head_.gradient});
  });
  context.sum(d_all, t.d_normed);
}

void Head::backward(const BlockContext& context, const Tensors& t, TensorView d_input) const {
  context.backend.run(op::NormBackward{
      .dy = t.d_normed, .x = t.input, .gain = gain_, .rstd = t.rstd, .dx = d_input, .d_gain = d_gain_});
}

void Head::evaluate(const BlockContext& context, const Tensors& t, TensorView scalars) const {
  const TensorView all = norm(context, t);
  for_blocks(0, all.rows(), t.logits.rows(), [&](std::int64_t begin, std::int64_t count) {
    const TensorView labels = context.batch.labels.rows(begin, count);
    const Block block = softmax(context, t, all.rows(begin, count), labels);
    context.backend.run(
        op::CrossEntropyLoss{.labels = labels, .statistics = block.statistics, .scalars = scalars});
  });
}

void Head::logits(const BlockContext& context, const Tensors& t, std::int64_t first,
                  const LogitSink& sink) const {
  const TensorView all = norm(context, t);
  for_blocks(first, all.rows(), t.logits.rows(), [&](std::int64_t begin, std::int64_t count) {
    const TensorView logits = t.logits.rows(0, count);
    linear_forward(context, head_, all.rows(begin, count), logits);
    sink(begin, first_, logits.slice_columns(0, valid_));
  });
}

}  // namespace headwater
