#include "headwater/nn/head.h"

#include <algorithm>

namespace headwater {

Head::Tensors::Tensors(const NamedTensors& named)
    : input(named.at("input")),
      rstd(named.at("norm.rstd")),
      normed(named.at("norm.out")),
      logits(named.at("logits")),
      statistics(named.at("statistics")),
      d_normed(named.at("d_norm")) {}

Head::Head(const ModelSpec& model, ParameterStore& store)
    : vocabulary_(model.vocabulary),
      epsilon_(model.norm_epsilon),
      head_(store.linear(model.tied ? "embedding.weight" : "head.weight")),
      gain_(store.weight("final_norm.weight")),
      d_gain_(store.gradient("final_norm.weight")) {}

void Head::norm(const BlockContext& context, const Tensors& t) const {
  context.backend.rms_norm(t.input, gain_, epsilon_, t.normed, t.rstd);
}

template <class Body>
void Head::for_blocks(std::int64_t first, std::int64_t rows, std::int64_t block, Body body) const {
  for (std::int64_t begin = first; begin < rows; begin += block) body(begin, std::min(block, rows - begin));
}

void Head::forward(const BlockContext& context, const Tensors& t, TensorView scalars) const {
  Backend& b = context.backend;
  norm(context, t);
  for_blocks(0, t.input.rows(), t.logits.rows(), [&](std::int64_t begin, std::int64_t count) {
    const TensorView logits = t.logits.rows(0, count), statistics = t.statistics.rows(0, count);
    const TensorView normed = t.normed.rows(begin, count), labels = context.batch.labels.rows(begin, count);
    b.linear(normed, *head_.weight, logits);
    b.softmax_statistics(logits, labels, 0, vocabulary_, statistics);
    b.cross_entropy_backward(logits, labels, 0, vocabulary_, statistics, scalars);
    b.linear_input_gradient(logits, *head_.weight, t.d_normed.rows(begin, count), false);
    b.linear_weight_gradient(logits, normed, head_.gradient);
  });
}

void Head::backward(const BlockContext& context, const Tensors& t, TensorView d_input) const {
  context.backend.rms_norm_backward(t.d_normed, t.input, gain_, t.rstd, d_input, false, d_gain_);
}

void Head::evaluate(const BlockContext& context, const Tensors& t, TensorView scalars) const {
  Backend& b = context.backend;
  norm(context, t);
  for_blocks(0, t.input.rows(), t.logits.rows(), [&](std::int64_t begin, std::int64_t count) {
    const TensorView logits = t.logits.rows(0, count), statistics = t.statistics.rows(0, count);
    const TensorView labels = context.batch.labels.rows(begin, count);
    b.linear(t.normed.rows(begin, count), *head_.weight, logits);
    b.softmax_statistics(logits, labels, 0, vocabulary_, statistics);
    b.cross_entropy_loss(labels, statistics, scalars);
  });
}

void Head::logits(const BlockContext& context, const Tensors& t, std::int64_t first,
                  const std::function<void(std::int64_t row, TensorView block)>& sink) const {
  norm(context, t);
  for_blocks(first, t.input.rows(), t.logits.rows(), [&](std::int64_t begin, std::int64_t count) {
    const TensorView logits = t.logits.rows(0, count);
    context.backend.linear(t.normed.rows(begin, count), *head_.weight, logits);
    sink(begin, logits.slice_columns(0, vocabulary_));
  });
}

}  // namespace headwater
