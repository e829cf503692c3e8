// Cross-entropy over a shard of the vocabulary.

#include "checks.h"
#include "cpu_catalogue.h"
#include "parallel.h"
#include "vector_math.h"

#include <cmath>
#include <limits>

namespace headwater::cpu {
namespace {

struct RowStatistics {
  float maximum, sum, label_logit;  // a row of the statistics tensor
};

float* row_statistics(const TensorView& statistics, std::int64_t row) {
  return row_of<float>(statistics, row);
}

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

double* step_scalar(const TensorView& scalars, StepScalar which) {
  check_vector(scalars, DType::f64, kStepScalars, "scalars");
  return scalars.as<double>() + static_cast<std::int64_t>(which);
}

}  // namespace

void CpuBackend::softmax_statistics(TensorView logits, TensorView labels, std::int64_t first,
                                    std::int64_t valid, TensorView statistics) {
  const std::int64_t rows = logits.rows();
  check_vector(labels, DType::i32, rows, "labels");
  check_matrix(statistics, DType::f32, rows, 3, "statistics");
  HW_CHECK(valid >= 0 && valid <= logits.columns(), "{} valid columns of {}", valid, logits.columns());
  const std::int32_t* label = labels.as<std::int32_t>();
  with_compute_type(logits.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) {
        const RowStatistics found = statistics_of(row_of<T>(logits, row), valid, label[row] - first);
        float* s = row_statistics(statistics, row);
        s[0] = found.maximum;
        s[1] = found.sum;
        s[2] = found.label_logit;
      }
    });
  });
}

void CpuBackend::combine_statistics(TensorView shards, TensorView statistics) {
  const std::int64_t rows = statistics.rows(), count = rows > 0 ? shards.rows() / rows : 0;
  check_matrix(statistics, DType::f32, rows, 3, "statistics");
  check_matrix(shards, DType::f32, count * rows, 3, "shards");
  for (std::int64_t row = 0; row < rows; ++row) {
    float maximum = -std::numeric_limits<float>::infinity(), sum = 0.0F, label_logit = 0.0F;
    for (std::int64_t i = 0; i < count; ++i)
      maximum = std::max(maximum, row_statistics(shards, i * rows + row)[0]);
    for (std::int64_t i = 0; i < count; ++i) {
      const float* shard = row_statistics(shards, i * rows + row);
      // 0: a shard of nothing but padding
      if (shard[1] != 0.0F) sum += shard[1] * std::exp(shard[0] - maximum);
      label_logit += shard[2];
    }
    float* s = row_statistics(statistics, row);
    s[0] = maximum;
    s[1] = sum;
    s[2] = label_logit;
  }
}

void CpuBackend::cross_entropy_backward(TensorView logits, TensorView labels, std::int64_t first,
                                        std::int64_t valid, TensorView statistics, TensorView scalars) {
  cross_entropy_loss(labels, statistics, scalars);
  const std::int64_t rows = logits.rows(), columns = logits.columns();
  check_vector(labels, DType::i32, rows, "labels");
  HW_CHECK(valid >= 0 && valid <= columns, "{} valid columns of {}", valid, columns);
  const std::int32_t* label = labels.as<std::int32_t>();
  const float factor = static_cast<float>(1.0 / *step_scalar(scalars, StepScalar::targets));
  with_compute_type(logits.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) {
        T* values = row_of<T>(logits, row);
        const float* s = row_statistics(statistics, row);
        if (label[row] < 0)
          std::fill_n(values, columns, T(0.0F));
        else
          gradient_row(values, columns, valid, label[row] - first, s[0], s[1], factor);
      }
    });
  });
}

void CpuBackend::cross_entropy_loss(TensorView labels, TensorView statistics, TensorView scalars) {
  const std::int64_t rows = labels.elements();
  check_vector(labels, DType::i32, rows, "labels");
  check_matrix(statistics, DType::f32, rows, 3, "statistics");
  const std::int32_t* label = labels.as<std::int32_t>();
  double& loss = *step_scalar(scalars, StepScalar::loss_sum);
  for (std::int64_t row = 0; row < rows; ++row) {
    if (label[row] < 0) continue;
    const float* s = row_statistics(statistics, row);
    loss += std::log(static_cast<double>(s[1])) + static_cast<double>(s[0]) - static_cast<double>(s[2]);
  }
}

}  // namespace headwater::cpu
