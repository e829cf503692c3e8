// Localized filtering: what follows the products of a causal 2-tap convolution (backend.h).

#include "headwater/model/op_workspace.h"

#include "checks.h"
#include "column_sums.h"
#include "cpu_catalogue.h"
#include "norm_row.h"
#include "parallel.h"

namespace headwater::cpu {
namespace {

// Which tokens take the product of the token before them.
class Taps {
 public:
  Taps(const Borders& borders, std::int64_t tokens, std::int64_t samples)
      : offset_(borders.offset), rows_per_sample_(samples > 0 ? tokens / samples : 0) {
    HW_CHECK(samples > 0 && tokens % samples == 0, "{} tokens of {} samples", tokens, samples);
    check_vector(borders.start, DType::i32, tokens, "start");
    start_ = borders.start.as<std::int32_t>();
  }
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

// One row of the op; what is absent is a null pointer.
template <class T>
void taps_row(const T* before, const T* current, const T* bias, const T* residual, std::int64_t columns,
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

// The checked operands of both forward ops.
struct TapsArgs {
  TensorView products;
  const Taps& taps;
  TensorView before, bias, residual, out;

  void check(std::int64_t samples) const {
    const std::int64_t rows = products.rows(), columns = products.columns() / 2;
    check_matrix(out, products.dtype, rows, columns, "out");
    check_matrix(products, products.dtype, rows, 2 * columns, "products");
    if (before) check_matrix(before, products.dtype, samples, columns, "before");
    if (bias) check_vector(bias, products.dtype, columns, "bias");
    if (residual) check_matrix(residual, products.dtype, rows, columns, "residual");
  }

  template <class T>
  T* row(std::int64_t t) const {
    const T* previous = nullptr;
    if (taps.taken(t)) {
      if (!taps.first_of_sample(t))
        previous = row_of<T>(products, t - 1);
      else if (before)
        previous = row_of<T>(before, taps.sample(t));
    }
    const std::int64_t columns = out.columns();
    T* result = row_of<T>(out, t);
    taps_row<T>(previous, row_of<T>(products, t) + columns, bias ? row_of<T>(bias, 0) : nullptr,
                residual ? row_of<T>(residual, t) : nullptr, columns, result);
    return result;
  }
};

}  // namespace

void CpuBackend::lfa_taps(TensorView products, const Borders& borders, std::int64_t samples,
                          TensorView before, TensorView bias, TensorView residual, TensorView out) {
  const Taps taps(borders, products.rows(), samples);
  const TapsArgs args{products, taps, before, bias, residual, out};
  args.check(samples);
  with_compute_type(products.dtype, [&](auto type) {
    parallel_parts(threads_, products.rows(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t) args.row<decltype(type)>(t);
    });
  });
}

void CpuBackend::lfa_taps_rms_norm(TensorView products, const Borders& borders, std::int64_t samples,
                                   TensorView before, TensorView bias, TensorView residual, TensorView gain,
                                   double epsilon, TensorView z, TensorView y, TensorView rstd) {
  const std::int64_t rows = products.rows(), columns = z.columns();
  const Taps taps(borders, rows, samples);
  const TapsArgs args{products, taps, before, bias, residual, z};
  args.check(samples);
  check_vector(gain, z.dtype, columns, "gain");
  check_matrix(y, z.dtype, rows, columns, "y");
  check_vector(rstd, DType::f32, rows, "rstd");
  float* r = rstd.as<float>();
  with_compute_type(products.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t)
        r[t] = normalise_row(args.row<T>(t), row_of<T>(gain, 0), static_cast<float>(epsilon), columns,
                             row_of<T>(y, t));
    });
  });
}

void CpuBackend::lfa_taps_backward(TensorView d_out, const Borders& borders, std::int64_t samples,
                                   TensorView d_products, TensorView d_before, TensorView d_bias) {
  const std::int64_t rows = d_out.rows(), columns = d_out.columns();
  const Taps taps(borders, rows, samples);
  check_matrix(d_products, d_out.dtype, rows, 2 * columns, "d_products");
  if (d_before) check_matrix(d_before, d_out.dtype, samples, columns, "d_before");
  if (d_bias) check_vector(d_bias, DType::f32, columns, "d_bias");
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
        T* d_row = row_of<T>(d_products, t);
        copy_or_zero(t + 1 < rows && !taps.first_of_sample(t + 1) && taps.taken(t + 1), t + 1, d_row);
        std::copy_n(row_of<T>(d_out, t), columns, d_row + columns);
        if (d_before && taps.first_of_sample(t))
          copy_or_zero(taps.taken(t), t, row_of<T>(d_before, taps.sample(t)));
      }
    });
    if (d_bias)
      sum_columns(threads_, rows, columns, scratch(cpu_column_sums_bytes(columns, threads_)),
                  d_bias.as<float>(), [&](std::int64_t begin, std::int64_t end, float* partial) {
                    for (std::int64_t t = begin; t < end; ++t) add_row(row_of<T>(d_out, t), columns, partial);
                  });
  });
}

}  // namespace headwater::cpu
