// Cross-entropy over a shard of the vocabulary.

#include "checks.h"
#include "cpu_catalogue.h"
#include "parallel.h"
#include "vector_math.h"

#include <cmath>
#include <limits>

namespace headwater::cpu {
namespace {

// A row of the statistics tensor, which is dense.
struct RowStatistics {
  float maximum, sum, label_logit;
};
constexpr std::int64_t kStatistics = 3;

template <class T>
RowStatistics statistics_of(const T* logits, std::int64_t valid, std::int64_t label) {
  float maximum = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : maximum)
  for (std::int64_t i = 0; i < valid; ++i) {
    const float logit = static_cast<float>(logits[i]);
    maximum = logit > maximum ? logit : maximum;
  }
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < valid; ++i) sum += exp_nonpositive(static_cast<float>(logits[i]) - maximum);
  const bool inside = label >= 0 && label < valid;
  return {maximum, sum, inside ? static_cast<float>(logits[label]) : 0.0F};
}

// logits ← (softmax − onehot) · factor
template <class T>
void gradient_row(T* logits, std::int64_t columns, std::int64_t valid, std::int64_t label, float maximum,
                  float sum, float factor) {
  const float scale = factor / sum;
  const bool inside = label >= 0 && label < valid;
  const float label_gradient =
      inside ? factor * (exp_nonpositive(static_cast<float>(logits[label]) - maximum) / sum - 1.0F) : 0.0F;
  for (std::int64_t i = 0; i < valid; ++i)
    logits[i] = static_cast<T>(scale * exp_nonpositive(static_cast<float>(logits[i]) - maximum));
  if (inside) logits[label] = static_cast<T>(label_gradient);
  std::fill(logits + valid, logits + columns, T(0.0F));
}

double& step_scalar(const TensorView& scalars, StepScalar which) {
  return scalars.as<double>()[static_cast<std::int64_t>(which)];
}

}  // namespace

void CpuBackend::compute(const op::SoftmaxStatistics& softmax) {
  const TensorView& logits = softmax.logits;
  const std::int64_t rows = logits.rows(), first = softmax.first, valid = softmax.valid;
  const std::int32_t* label = softmax.labels.as<std::int32_t>();
  float* statistics = softmax.statistics.as<float>();
  with_compute_type(logits.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) {
        const RowStatistics found = statistics_of(row_of<T>(logits, row), valid, label[row] - first);
        float* s = statistics + row * kStatistics;
        s[0] = found.maximum;
        s[1] = found.sum;
        s[2] = found.label_logit;
      }
    });
  });
}

void CpuBackend::compute(const op::CombineStatistics& combine) {
  const std::int64_t rows = combine.statistics.rows();
  const std::int64_t count = rows > 0 ? combine.shards.rows() / rows : 0;
  const float* shards = combine.shards.as<float>();
  float* statistics = combine.statistics.as<float>();
  for (std::int64_t row = 0; row < rows; ++row) {
    float maximum = -std::numeric_limits<float>::infinity(), sum = 0.0F, label_logit = 0.0F;
    for (std::int64_t i = 0; i < count; ++i)
      maximum = std::max(maximum, shards[(i * rows + row) * kStatistics]);
    for (std::int64_t i = 0; i < count; ++i) {
      const float* shard = shards + (i * rows + row) * kStatistics;
      // 0: a shard of nothing but padding
      if (shard[1] != 0.0F) sum += shard[1] * std::exp(shard[0] - maximum);
      label_logit += shard[2];
    }
    float* s = statistics + row * kStatistics;
    s[0] = maximum;
    s[1] = sum;
    s[2] = label_logit;
  }
}

void CpuBackend::compute(const op::CrossEntropyLoss& cross_entropy) {
  const std::int64_t rows = cross_entropy.labels.elements();
  const std::int32_t* label = cross_entropy.labels.as<std::int32_t>();
  const float* statistics = cross_entropy.statistics.as<float>();
  double& loss = step_scalar(cross_entropy.scalars, StepScalar::loss_sum);
  for (std::int64_t row = 0; row < rows; ++row) {
    if (label[row] < 0) continue;
    const float* s = statistics + row * kStatistics;
    loss += std::log(static_cast<double>(s[1])) + static_cast<double>(s[0]) - static_cast<double>(s[2]);
  }
}

void CpuBackend::compute(const op::CrossEntropyBackward& backward) {
  compute(backward.loss());
  const TensorView& logits = backward.logits;
  const std::int64_t rows = logits.rows(), columns = logits.columns();
  const std::int64_t first = backward.first, valid = backward.valid;
  const std::int32_t* label = backward.labels.as<std::int32_t>();
  const float* statistics = backward.statistics.as<float>();
  const float factor = static_cast<float>(1.0 / step_scalar(backward.scalars, StepScalar::targets));
  with_compute_type(logits.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) {
        T* values = row_of<T>(logits, row);
        const float* s = statistics + row * kStatistics;
        if (label[row] < 0)
          std::fill_n(values, columns, T(0.0F));
        else
          gradient_row(values, columns, valid, label[row] - first, s[0], s[1], factor);
      }
    });
  });
}

}  // namespace headwater::cpu
