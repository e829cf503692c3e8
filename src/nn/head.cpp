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
      first_(ranks.rank() * head_.weight->canonical.rows()),
      valid_(std::clamp<std::int64_t>(model.vocabulary - first_, 0, head_.weight->canonical.rows())),
      gain_(store.weight("final_norm.weight")),
      d_gain_(store.gradient("final_norm.weight")) {}

TensorView Head::norm(const BlockContext& context, const Tensors& t) const {
  context.backend.rms_norm(t.input, gain_, epsilon_, t.normed, t.rstd);
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
  b.linear(normed, *head_.weight, block.logits);
  b.softmax_statistics(block.logits, labels, first_, valid_, block.statistics);
  if (context.ranks.several()) {
    const TensorView all = t.statistics_all.rows(0, context.ranks.sharding().tensor * rows);
    context.ranks.gather_all(b.queue(), block.statistics, all);
    b.combine_statistics(all, block.statistics);
  }
  return block;
}

void Head::forward(const BlockContext& context, const Tensors& t, TensorView scalars) const {
  Backend& b = context.backend;
  const TensorView all = norm(context, t), d_all = t.d_normed_all ? t.d_normed_all : t.d_normed;
  for_blocks(0, all.rows(), t.logits.rows(), [&](std::int64_t begin, std::int64_t count) {
    const TensorView normed = all.rows(begin, count), labels = context.batch.labels.rows(begin, count);
    const Block block = softmax(context, t, normed, labels);
    b.cross_entropy_backward(block.logits, labels, first_, valid_, block.statistics, scalars);
    b.linear_input_gradient(block.logits, *head_.weight, d_all.rows(begin, count), false);
    b.linear_weight_gradient(block.logits, normed, head_.gradient);
  });
  context.sum(d_all, t.d_normed);
}

void Head::backward(const BlockContext& context, const Tensors& t, TensorView d_input) const {
  context.backend.rms_norm_backward(t.d_normed, t.input, gain_, t.rstd, d_input, false, d_gain_);
}

void Head::evaluate(const BlockContext& context, const Tensors& t, TensorView scalars) const {
  const TensorView all = norm(context, t);
  for_blocks(0, all.rows(), t.logits.rows(), [&](std::int64_t begin, std::int64_t count) {
    const TensorView labels = context.batch.labels.rows(begin, count);
    context.backend.cross_entropy_loss(labels, softmax(context, t, all.rows(begin, count), labels).statistics,
                                       scalars);
  });
}

void Head::logits(const BlockContext& context, const Tensors& t, std::int64_t first,
                  const LogitSink& sink) const {
  const TensorView all = norm(context, t);
  for_blocks(first, all.rows(), t.logits.rows(), [&](std::int64_t begin, std::int64_t count) {
    const TensorView logits = t.logits.rows(0, count);
    context.backend.linear(all.rows(begin, count), *head_.weight, logits);
    sink(begin, first_, logits.slice_columns(0, valid_));
  });
}

}  // namespace headwater
