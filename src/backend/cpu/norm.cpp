// RMSNorm, and the residual sums that end in one. Statistics and gradients of the gain are f32.

#include "headwater/model/op_workspace.h"

#include "checks.h"
#include "column_sums.h"
#include "cpu_catalogue.h"
#include "dropout_mask.h"
#include "norm_row.h"
#include "parallel.h"
#include "vector_math.h"

namespace headwater::cpu {
namespace {

constexpr std::int64_t kMaskChunk = 1024;  // elements whose mask is made at once, on the stack

// out = x + mask ⊙ branch, elements from `first` of `sample`.
template <class T>
void add_branch_row(const T* branch, const T* x, const DropoutMask& mask, std::int64_t sample,
                    std::uint64_t first, std::int64_t columns, T* out) {
  if (!mask.on()) {
    for (std::int64_t i = 0; i < columns; ++i)
      out[i] = static_cast<T>(static_cast<float>(x[i]) + static_cast<float>(branch[i]));
    return;
  }
  float scales[kMaskChunk];
  for (std::int64_t begin = 0; begin < columns; begin += kMaskChunk) {
    const std::int64_t count = std::min(kMaskChunk, columns - begin);
    mask.scales(sample, first + static_cast<std::uint64_t>(begin), count, scales);
    for (std::int64_t i = 0; i < count; ++i)
      out[begin + i] = static_cast<T>(static_cast<float>(x[begin + i]) +
                                      scales[i] * static_cast<float>(branch[begin + i]));
  }
}

// Where a row stands in its sample, and in the numbering of the mask's elements.
struct SampleRows {
  std::int64_t samples, sequence, first_row, columns;
  std::int64_t sample(std::int64_t row) const { return (first_row + row) / sequence; }
  std::uint64_t first(std::int64_t row) const {
    return static_cast<std::uint64_t>((first_row + row) % sequence * columns);
  }
};

// Without dropout the samples are not told, and do not matter.
SampleRows sample_rows(const Dropout& dropout, const TensorView& x) {
  const std::int64_t samples = dropout.on() ? dropout.keys.rows() : 1;
  HW_CHECK(samples > 0 && (dropout.sequence > 0 || x.rows() % samples == 0), "{} rows of {} samples",
           x.rows(), samples);
  const std::int64_t sequence =
      dropout.sequence > 0 ? dropout.sequence : std::max<std::int64_t>(x.rows() / samples, 1);
  HW_CHECK(!dropout.on() || dropout.first_row + x.rows() <= samples * sequence,
           "rows {} + {} of {} samples of {}", dropout.first_row, x.rows(), samples, sequence);
  return {samples, sequence, dropout.first_row, x.columns()};
}

template <class T>
void backward_row(const T* dy, const T* x, const T* gain, float r, std::int64_t columns, bool accumulate,
                  T* dx, float* d_gain) {
  float dot = 0.0F;
#pragma omp simd reduction(+ : dot)
  for (std::int64_t i = 0; i < columns; ++i)
    dot += static_cast<float>(dy[i]) * static_cast<float>(gain[i]) * static_cast<float>(x[i]);
  const float mean = dot * r / static_cast<float>(columns);  // of dy ⊙ g ⊙ n
#pragma omp simd
  for (std::int64_t i = 0; i < columns; ++i) {
    const float n = static_cast<float>(x[i]) * r, d = static_cast<float>(dy[i]);
    d_gain[i] += d * n;
    const float value = r * (d * static_cast<float>(gain[i]) - n * mean);
    store(accumulate ? static_cast<float>(dx[i]) + value : value, dx + i);
  }
}

}  // namespace

void CpuBackend::rms_norm(TensorView x, TensorView gain, double epsilon, TensorView y, TensorView rstd) {
  const std::int64_t rows = x.rows(), columns = x.columns();
  check_vector(gain, x.dtype, columns, "gain");
  check_matrix(y, x.dtype, rows, columns, "y");
  check_vector(rstd, DType::f32, rows, "rstd");
  float* r = rstd.as<float>();
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t)
        r[t] = normalise_row(row_of<T>(x, t), row_of<T>(gain, 0), static_cast<float>(epsilon), columns,
                             row_of<T>(y, t));
    });
  });
}

void CpuBackend::rms_norm_backward(TensorView dy, TensorView x, TensorView gain, TensorView rstd,
                                   TensorView dx, bool accumulate, TensorView d_gain) {
  const std::int64_t rows = x.rows(), columns = x.columns();
  check_matrix(dy, x.dtype, rows, columns, "dy");
  check_vector(gain, x.dtype, columns, "gain");
  check_vector(rstd, DType::f32, rows, "rstd");
  check_matrix(dx, x.dtype, rows, columns, "dx");
  check_vector(d_gain, DType::f32, columns, "d_gain");
  const float* r = rstd.as<float>();
  Scratch partials = scratch(cpu_column_sums_bytes(columns, threads_));
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    sum_columns(threads_, rows, columns, partials, d_gain.as<float>(),
                [&](std::int64_t begin, std::int64_t end, float* partial) {
                  for (std::int64_t t = begin; t < end; ++t)
                    backward_row(row_of<T>(dy, t), row_of<T>(x, t), row_of<T>(gain, 0), r[t], columns,
                                 accumulate, row_of<T>(dx, t), partial);
                });
  });
}

void CpuBackend::residual_add(TensorView branch, TensorView x, const Dropout& dropout, TensorView out) {
  const std::int64_t rows = x.rows(), columns = x.columns();
  check_matrix(branch, x.dtype, rows, columns, "branch");
  check_matrix(out, x.dtype, rows, columns, "out");
  const SampleRows place = sample_rows(dropout, x);
  const DropoutMask mask(dropout, place.samples);
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t)
        add_branch_row(row_of<T>(branch, t), row_of<T>(x, t), mask, place.sample(t), place.first(t), columns,
                       row_of<T>(out, t));
    });
  });
}

void CpuBackend::residual_rms_norm(TensorView branch, TensorView x, const Dropout& dropout, TensorView gain,
                                   double epsilon, TensorView out, TensorView y, TensorView rstd) {
  const std::int64_t rows = x.rows(), columns = x.columns();
  check_matrix(branch, x.dtype, rows, columns, "branch");
  check_vector(gain, x.dtype, columns, "gain");
  check_matrix(out, x.dtype, rows, columns, "out");
  check_matrix(y, x.dtype, rows, columns, "y");
  check_vector(rstd, DType::f32, rows, "rstd");
  const SampleRows place = sample_rows(dropout, x);
  const DropoutMask mask(dropout, place.samples);
  float* r = rstd.as<float>();
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t) {
        T* sum = row_of<T>(out, t);
        add_branch_row(row_of<T>(branch, t), row_of<T>(x, t), mask, place.sample(t), place.first(t), columns,
                       sum);
        r[t] = normalise_row(sum, row_of<T>(gain, 0), static_cast<float>(epsilon), columns, row_of<T>(y, t));
      }
    });
  });
}

void CpuBackend::dropout_backward(TensorView d_out, const Dropout& dropout, TensorView d_branch) {
  HW_CHECK(dropout.on(), "dropout_backward without dropout");
  const std::int64_t rows = d_out.rows(), columns = d_out.columns();
  check_matrix(d_branch, d_out.dtype, rows, columns, "d_branch");
  const SampleRows place = sample_rows(dropout, d_out);
  const DropoutMask mask(dropout, place.samples);
  with_compute_type(d_out.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      float scales[kMaskChunk];
      for (std::int64_t t = begin; t < end; ++t) {
        const T* from = row_of<T>(d_out, t);
        T* to = row_of<T>(d_branch, t);
        for (std::int64_t start = 0; start < columns; start += kMaskChunk) {
          const std::int64_t count = std::min(kMaskChunk, columns - start);
          mask.scales(place.sample(t), place.first(t) + static_cast<std::uint64_t>(start), count, scales);
          for (std::int64_t i = 0; i < count; ++i)
            to[start + i] = static_cast<T>(scales[i] * static_cast<float>(from[start + i]));
        }
      }
    });
  });
}

}  // namespace headwater::cpu
