// Localized filtering: what follows the products of a causal 2-tap convolution (ops.h).

#include "checks.h"
#include "column_sums.h"
#include "cpu_catalogue.h"
#include "norm_row.h"
#include "parallel.h"

namespace headwater::cpu {
namespace {

// Which tokens take the product of the token before them.
class Reach {
 public:
  Reach(const Borders& borders, std::int64_t tokens, std::int64_t samples)
      : start_(borders.start.as<std::int32_t>()),
        offset_(borders.offset),
        rows_per_sample_(tokens / samples) {}
  bool taken(std::int64_t t) const { return start_[t] - offset_ <= t - 1; }
  bool first_of_sample(std::int64_t t) const { return t % rows_per_sample_ == 0; }
  std::int64_t sample(std::int64_t t) const { return t / rows_per_sample_; }

 private:
  const std::int32_t* start_;
  std::int64_t offset_, rows_per_sample_;
};

template <class T>
void add_row(const T* from, std::int64_t count, float* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] += static_cast<float>(from[i]);
}

// out = before + current + bias + residual, rounded once; what is absent is a null pointer.
template <class T>
void add_taps(const T* before, const T* current, const T* bias, const T* residual, std::int64_t columns,
              T* out) {
  constexpr std::int64_t kChunk = 512;  // the sum of so many columns is held in f32, on the stack
  float sum[kChunk];
  for (std::int64_t begin = 0; begin < columns; begin += kChunk) {
    const std::int64_t count = std::min(kChunk, columns - begin);
    for (std::int64_t i = 0; i < count; ++i) sum[i] = static_cast<float>(current[begin + i]);
    if (before != nullptr) add_row(before + begin, count, sum);
    if (bias != nullptr) add_row(bias + begin, count, sum);
    if (residual != nullptr) add_row(residual + begin, count, sum);
    for (std::int64_t i = 0; i < count; ++i) out[begin + i] = static_cast<T>(sum[i]);
  }
}

// Row t of the op; gives where it was written.
template <class T>
T* taps_row(const op::LfaTaps& taps, const Reach& reach, std::int64_t t) {
  const T* before = nullptr;
  if (reach.taken(t)) {
    if (!reach.first_of_sample(t))
      before = row_of<T>(taps.products, t - 1);
    else if (taps.before)
      before = row_of<T>(taps.before, reach.sample(t));
  }
  const std::int64_t columns = taps.out.columns();
  T* out = row_of<T>(taps.out, t);
  add_taps<T>(before, row_of<T>(taps.products, t) + columns, taps.bias ? row_of<T>(taps.bias, 0) : nullptr,
              taps.residual ? row_of<T>(taps.residual, t) : nullptr, columns, out);
  return out;
}

}  // namespace

void CpuBackend::compute(const op::LfaTaps& taps) {
  const std::int64_t rows = taps.out.rows();
  const Reach reach(taps.borders, rows, taps.samples);
  with_compute_type(taps.out.dtype, [&](auto type) {
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t) taps_row<decltype(type)>(taps, reach, t);
    });
  });
}

void CpuBackend::compute(const op::LfaTapsNorm& taps_norm) {
  const op::LfaTaps& taps = taps_norm.taps;
  const std::int64_t rows = taps.out.rows();
  const Reach reach(taps.borders, rows, taps.samples);
  with_compute_type(taps.out.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t) norm_row(taps_norm.norm, taps_row<T>(taps, reach, t), t);
    });
  });
}

void CpuBackend::compute(const op::LfaTapsBackward& backward) {
  const TensorView &d_out = backward.d_out, &d_before = backward.d_before, &d_bias = backward.d_bias;
  const std::int64_t rows = d_out.rows(), columns = d_out.columns();
  const Reach reach(backward.borders, rows, backward.samples);
  with_compute_type(d_out.dtype, [&](auto type) {
    using T = decltype(type);
    const auto copy_or_zero = [&](bool copied, std::int64_t t, T* to) {
      if (copied)
        std::copy_n(row_of<T>(d_out, t), columns, to);
      else
        std::fill_n(to, columns, T(0.0F));
    };
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t) {
        T* d_row = row_of<T>(backward.d_products, t);
        copy_or_zero(t + 1 < rows && !reach.first_of_sample(t + 1) && reach.taken(t + 1), t + 1, d_row);
        std::copy_n(row_of<T>(d_out, t), columns, d_row + columns);
        if (d_before && reach.first_of_sample(t))
          copy_or_zero(reach.taken(t), t, row_of<T>(d_before, reach.sample(t)));
      }
    });
    if (d_bias)
      sum_columns(threads_, rows, columns, scratch_of(backward), d_bias.as<float>(),
                  [&](std::int64_t begin, std::int64_t end, float* partial) {
                    for (std::int64_t t = begin; t < end; ++t) add_row(row_of<T>(d_out, t), columns, partial);
                  });
  });
}

}  // namespace headwater::cpu
