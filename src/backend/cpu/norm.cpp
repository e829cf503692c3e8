// Norms, and the residual sums that end in one. Statistics and gradients of gain and bias are f32.

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
class SampleRows {
 public:
  SampleRows(const Dropout& dropout, const TensorView& x)
      : tokens_(dropout.tokens_per_sample(x.rows())), first_row_(dropout.first_row), columns_(x.columns()) {}
  std::int64_t sample(std::int64_t row) const { return (first_row_ + row) / tokens_; }
  std::uint64_t first(std::int64_t row) const {
    return static_cast<std::uint64_t>((first_row_ + row) % tokens_ * columns_);
  }

 private:
  std::int64_t tokens_, first_row_, columns_;
};

// Row t of the op; gives where it was written.
template <class T>
T* residual_row(const op::ResidualAdd& sum, const DropoutMask& mask, const SampleRows& place,
                std::int64_t t) {
  T* out = row_of<T>(sum.out, t);
  add_branch_row(row_of<T>(sum.branch, t), row_of<T>(sum.x, t), mask, place.sample(t), place.first(t),
                 sum.x.columns(), out);
  return out;
}

template <class T>
void backward_row(const T* dy, const T* x, const T* gain, float r, std::int64_t columns, const T* addend,
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
    store(addend != nullptr ? static_cast<float>(addend[i]) + value : value, dx + i);
  }
}

// The same of LayerNorm, but for the gradient of the bias.
template <class T>
void centred_backward_row(const T* dy, const T* x, const T* gain, float m, float r, std::int64_t columns,
                          const T* addend, T* dx, float* d_gain) {
  float sum = 0.0F, dot = 0.0F;
#pragma omp simd reduction(+ : sum, dot)
  for (std::int64_t i = 0; i < columns; ++i) {
    const float d = static_cast<float>(dy[i]) * static_cast<float>(gain[i]);
    sum += d;
    dot += d * (static_cast<float>(x[i]) - m);
  }
  const float mean = sum / static_cast<float>(columns), mean_dot = dot * r / static_cast<float>(columns);
#pragma omp simd
  for (std::int64_t i = 0; i < columns; ++i) {
    const float n = (static_cast<float>(x[i]) - m) * r, d = static_cast<float>(dy[i]);
    d_gain[i] += d * n;
    const float value = r * (d * static_cast<float>(gain[i]) - mean - n * mean_dot);
    store(addend != nullptr ? static_cast<float>(addend[i]) + value : value, dx + i);
  }
}

}  // namespace

void CpuBackend::compute(const op::Norm& norm) {
  with_compute_type(norm.x.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, norm.x.rows(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t) norm_row(norm.norm, row_of<T>(norm.x, t), t);
    });
  });
}

void CpuBackend::compute(const op::NormBackward& backward) {
  const TensorView &dy = backward.dy, &x = backward.x, &addend = backward.addend;
  const NormBackwardArguments& norm = backward.norm;
  const std::int64_t rows = x.rows(), columns = x.columns();
  const float* r = norm.rstd.as<float>();
  const float* m = norm.mean ? norm.mean.as<float>() : nullptr;
  Scratch partials = scratch_of(backward);
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    const T* gain = row_of<T>(norm.gain, 0);
    if (norm.d_bias)
      sum_columns(threads_, rows, columns, partials, norm.d_bias.as<float>(),
                  [&](std::int64_t begin, std::int64_t end, float* partial) {
                    for (std::int64_t t = begin; t < end; ++t) {
                      const T* dy_row = row_of<T>(dy, t);
                      for (std::int64_t i = 0; i < columns; ++i) partial[i] += static_cast<float>(dy_row[i]);
                    }
                  });
    sum_columns(threads_, rows, columns, partials, norm.d_gain.as<float>(),
                [&](std::int64_t begin, std::int64_t end, float* partial) {
                  for (std::int64_t t = begin; t < end; ++t) {
                    const T *dy_row = row_of<T>(dy, t), *x_row = row_of<T>(x, t),
                            *added = addend ? row_of<T>(addend, t) : nullptr;
                    T* dx = row_of<T>(backward.dx, t);
                    if (m == nullptr)
                      backward_row(dy_row, x_row, gain, r[t], columns, added, dx, partial);
                    else
                      centred_backward_row(dy_row, x_row, gain, m[t], r[t], columns, added, dx, partial);
                  }
                });
  });
}

void CpuBackend::compute(const op::ResidualAdd& sum) {
  const SampleRows place(sum.dropout, sum.x);
  const DropoutMask mask(sum.dropout);
  with_compute_type(sum.x.dtype, [&](auto type) {
    parallel_parts(threads_, sum.x.rows(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t) residual_row<decltype(type)>(sum, mask, place, t);
    });
  });
}

void CpuBackend::compute(const op::ResidualNorm& residual_norm) {
  const op::ResidualAdd& sum = residual_norm.sum;
  const SampleRows place(sum.dropout, sum.x);
  const DropoutMask mask(sum.dropout);
  with_compute_type(sum.x.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, sum.x.rows(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t)
        norm_row(residual_norm.norm, residual_row<T>(sum, mask, place, t), t);
    });
  });
}

void CpuBackend::compute(const op::DropoutBackward& backward) {
  const TensorView& d_out = backward.d_out;
  const std::int64_t rows = d_out.rows(), columns = d_out.columns();
  const SampleRows place(backward.dropout, d_out);
  const DropoutMask mask(backward.dropout);
  with_compute_type(d_out.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      float scales[kMaskChunk];
      for (std::int64_t t = begin; t < end; ++t) {
        const T* from = row_of<T>(d_out, t);
        T* to = row_of<T>(backward.d_branch, t);
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
