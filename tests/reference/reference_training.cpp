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

void ReferenceBackend::compute(const op::SoftmaxStatistics& o) {
  for (Index row = 0; row < o.logits.rows(); ++row) {
    double maximum = at(o.logits, row, 0), sum = 0.0;
    for (Index c = 0; c < o.valid; ++c) maximum = std::max(maximum, at(o.logits, row, c));
    for (Index c = 0; c < o.valid; ++c) sum += std::exp(at(o.logits, row, c) - maximum);
    const Index label = integer(o.labels, row) - o.first;
    at(o.statistics, row, 0) = maximum;
    at(o.statistics, row, 1) = sum;
    at(o.statistics, row, 2) = label >= 0 && label < o.valid ? at(o.logits, row, label) : 0.0;
  }
}

void ReferenceBackend::compute(const op::CombineStatistics& o) {
  const Index rows = o.statistics.rows(), count = o.shards.rows() / rows;
  for (Index row = 0; row < rows; ++row) {
    double maximum = at(o.shards, row, 0), sum = 0.0, label_logit = 0.0;
    for (Index i = 1; i < count; ++i) maximum = std::max(maximum, at(o.shards, i * rows + row, 0));
    for (Index i = 0; i < count; ++i) {
      const Index shard = i * rows + row;
      sum += at(o.shards, shard, 1) == 0.0
                 ? 0.0
                 : at(o.shards, shard, 1) * std::exp(at(o.shards, shard, 0) - maximum);
      label_logit += at(o.shards, shard, 2);
    }
    at(o.statistics, row, 0) = maximum;
    at(o.statistics, row, 1) = sum;
    at(o.statistics, row, 2) = label_logit;
  }
}

void ReferenceBackend::compute(const op::CrossEntropyBackward& o) {
  compute(o.loss());
  for (Index row = 0; row < o.logits.rows(); ++row) {
    const bool counts = integer(o.labels, row) >= 0;
    for (Index c = 0; c < o.logits.columns(); ++c) {
      const double softmax =
          std::exp(at(o.logits, row, c) - at(o.statistics, row, 0)) / at(o.statistics, row, 1);
      const double onehot = integer(o.labels, row) - o.first == c ? 1.0 : 0.0;
      at(o.logits, row, c) =
          counts && c < o.valid ? (softmax - onehot) / scalar(o.scalars, StepScalar::targets) : 0.0;
    }
  }
}

void ReferenceBackend::compute(const op::CrossEntropyLoss& o) {
  for (Index row = 0; row < o.labels.rows(); ++row)
    if (integer(o.labels, row) >= 0)
      scalar(o.scalars, StepScalar::loss_sum) +=
          std::log(at(o.statistics, row, 1)) + at(o.statistics, row, 0) - at(o.statistics, row, 2);
}

void ReferenceBackend::compute(const op::AddSquaredNorm& o) {
  for (Index i = 0; i < o.x.rows(); ++i)
    for (Index c = 0; c < o.x.columns(); ++c) at(o.sum, 0) += at(o.x, i, c) * at(o.x, i, c);
}

void ReferenceBackend::compute(const op::DecideStep& o) {
  const double norm = std::sqrt(scalar(o.scalars, StepScalar::norm_squared));
  const bool finite = std::isfinite(scalar(o.scalars, StepScalar::loss_sum)) && std::isfinite(norm);
  scalar(o.scalars, StepScalar::apply) = finite ? 1.0 : 0.0;
  if (finite) scalar(o.scalars, StepScalar::updates) += 1.0;
  scalar(o.scalars, StepScalar::clip_factor) =
      finite && o.clip > 0.0 ? std::min(1.0, o.clip / (norm + 1e-6)) : 1.0;
}

void ReferenceBackend::compute(const op::AdamW& o) {
  if (scalar(o.scalars, StepScalar::apply) == 0.0) return;
  const double t = scalar(o.scalars, StepScalar::updates),
               rate = scalar(o.scalars, StepScalar::learning_rate);
  for (Index i = 0; i < o.master.rows(); ++i) {
    const double g = at(o.gradient, i) * scalar(o.scalars, StepScalar::clip_factor);
    double& m = at(o.first_moment, i);
    double& v = at(o.second_moment, i);
    double& w = at(o.master, i);
    m = o.beta1 * m + (1.0 - o.beta1) * g;
    v = o.beta2 * v + (1.0 - o.beta2) * g * g;
    const double m_hat = m / (1.0 - std::pow(o.beta1, t)), v_hat = v / (1.0 - std::pow(o.beta2, t));
    w -= rate * (m_hat / (std::sqrt(v_hat) + o.epsilon) + o.weight_decay * w);
    at(o.weight, i) = w;
  }
}

}  // namespace headwater
