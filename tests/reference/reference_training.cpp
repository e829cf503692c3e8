// Cross-entropy and the end of a step.

#include "tests/reference/elements.h"
#include "tests/reference/reference_backend.h"

#include <algorithm>
#include <cmath>

namespace headwater {

using reference::at;
using reference::integer;
using reference::scalar;
using Index = std::int64_t;

void ReferenceBackend::softmax_statistics(TensorView logits, TensorView labels, Index first, Index valid,
                                          TensorView statistics) {
  for (Index row = 0; row < logits.rows(); ++row) {
    double maximum = at(logits, row, 0), sum = 0.0;
    for (Index c = 0; c < valid; ++c) maximum = std::max(maximum, at(logits, row, c));
    for (Index c = 0; c < valid; ++c) sum += std::exp(at(logits, row, c) - maximum);
    const Index label = integer(labels, row) - first;
    at(statistics, row, 0) = maximum;
    at(statistics, row, 1) = sum;
    at(statistics, row, 2) = label >= 0 && label < valid ? at(logits, row, label) : 0.0;
  }
}

void ReferenceBackend::combine_statistics(TensorView shards, TensorView statistics) {
  const Index rows = statistics.rows(), count = shards.rows() / rows;
  for (Index row = 0; row < rows; ++row) {
    double maximum = at(shards, row, 0), sum = 0.0, label_logit = 0.0;
    for (Index i = 1; i < count; ++i) maximum = std::max(maximum, at(shards, i * rows + row, 0));
    for (Index i = 0; i < count; ++i) {
      const Index shard = i * rows + row;
      sum +=
          at(shards, shard, 1) == 0.0 ? 0.0 : at(shards, shard, 1) * std::exp(at(shards, shard, 0) - maximum);
      label_logit += at(shards, shard, 2);
    }
    at(statistics, row, 0) = maximum;
    at(statistics, row, 1) = sum;
    at(statistics, row, 2) = label_logit;
  }
}

void ReferenceBackend::cross_entropy_backward(TensorView logits, TensorView labels, Index first, Index valid,
                                              TensorView statistics, TensorView scalars) {
  cross_entropy_loss(labels, statistics, scalars);
  for (Index row = 0; row < logits.rows(); ++row) {
    const bool counts = integer(labels, row) >= 0;
    for (Index c = 0; c < logits.columns(); ++c) {
      const double softmax = std::exp(at(logits, row, c) - at(statistics, row, 0)) / at(statistics, row, 1);
      const double onehot = integer(labels, row) - first == c ? 1.0 : 0.0;
      at(logits, row, c) =
          counts && c < valid ? (softmax - onehot) / scalar(scalars, StepScalar::targets) : 0.0;
    }
  }
}

void ReferenceBackend::cross_entropy_loss(TensorView labels, TensorView statistics, TensorView scalars) {
  for (Index row = 0; row < labels.rows(); ++row)
    if (integer(labels, row) >= 0)
      scalar(scalars, StepScalar::loss_sum) +=
          std::log(at(statistics, row, 1)) + at(statistics, row, 0) - at(statistics, row, 2);
}

void ReferenceBackend::add_squared_norm(TensorView x, TensorView sum) {
  for (Index i = 0; i < x.rows(); ++i)
    for (Index c = 0; c < x.columns(); ++c) at(sum, 0) += at(x, i, c) * at(x, i, c);
}

void ReferenceBackend::decide_step(double clip, TensorView scalars) {
  const double norm = std::sqrt(scalar(scalars, StepScalar::norm_squared));
  const bool finite = std::isfinite(scalar(scalars, StepScalar::loss_sum)) && std::isfinite(norm);
  scalar(scalars, StepScalar::apply) = finite ? 1.0 : 0.0;
  if (finite) scalar(scalars, StepScalar::updates) += 1.0;
  scalar(scalars, StepScalar::clip_factor) = finite && clip > 0.0 ? std::min(1.0, clip / (norm + 1e-6)) : 1.0;
}

void ReferenceBackend::adamw(const AdamWArgs& args, TensorView scalars) {
  if (scalar(scalars, StepScalar::apply) == 0.0) return;
  const double t = scalar(scalars, StepScalar::updates), rate = scalar(scalars, StepScalar::learning_rate);
  for (Index i = 0; i < args.master.rows(); ++i) {
    const double g = at(args.gradient, i) * scalar(scalars, StepScalar::clip_factor);
    double& m = at(args.first_moment, i);
    double& v = at(args.second_moment, i);
    double& w = at(args.master, i);
    m = args.beta1 * m + (1.0 - args.beta1) * g;
    v = args.beta2 * v + (1.0 - args.beta2) * g * g;
    const double m_hat = m / (1.0 - std::pow(args.beta1, t)), v_hat = v / (1.0 - std::pow(args.beta2, t));
    w -= rate * (m_hat / (std::sqrt(v_hat) + args.epsilon) + args.weight_decay * w);
    at(args.weight, i) = w;
  }
}

}  // namespace headwater
