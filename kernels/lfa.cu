// Localized filtering: what follows the products of a causal 2-tap convolution, forward and backward.

#include "column_sums.cuh"
#include "norm_row.cuh"

namespace headwater::kernels {
namespace {

// What one row of the op adds up; null where there is none.
template <class T>
struct TapsRow {
  const T *current, *previous = nullptr, *bias, *residual;

  __device__ __forceinline__ TapsRow(const Taps<T>& taps, const LfaBorders& borders, std::int64_t t,
                                     std::int64_t columns)
      : current(taps.products.row(t) + columns),
        bias(taps.bias),
        residual(taps.residual.data == nullptr ? nullptr : taps.residual.row(t)) {
    if (!borders.taken(t)) return;
    if (!borders.first_of_sample(t)) {
      previous = taps.products.row(t - 1);
    } else if (taps.before.data != nullptr) {
      previous = taps.before.row(borders.sample(t));
    }
  }

  template <int kN>
  __device__ __forceinline__ void load_sum(std::int64_t column, float (&v)[kN]) const {
    load_once<kN>(current + column, v);
    add(previous, column, v);
    add(bias, column, v);
    add(residual, column, v);
  }

 private:
  template <int kN>
  __device__ __forceinline__ static void add(const T* term, std::int64_t column, float (&v)[kN]) {
    if (term == nullptr) return;
    float more[kN];
    load<kN>(term + column, more);
    for (int i = 0; i < kN; ++i) v[i] += more[i];
  }
};

template <class T, int kN>
__global__ void __launch_bounds__(256)
    lfa_taps_kernel(Taps<T> taps, LfaBorders borders, Rows<T> out, std::int64_t rows, std::int64_t columns) {
  for_each_chunk<kN>(rows, columns, [&](std::int64_t row, std::int64_t column) {
    float v[kN];
    TapsRow<T>(taps, borders, row, columns).load_sum(column, v);
    store<kN>(out.row(row) + column, v);
  });
}

template <class T, int kN>
__global__ void __launch_bounds__(kRowThreads, 1)
    lfa_taps_rms_norm_kernel(Taps<T> taps, LfaBorders borders, const T* gain, float epsilon, Rows<T> z,
                             Rows<T> y, float* rstd, std::int64_t columns) {
  const std::int64_t row = blockIdx.x;
  const TapsRow<T> terms(taps, borders, row, columns);
  const auto add = [&](std::int64_t column, float(&v)[kN]) {
    terms.load_sum(column, v);
    round_to<T>(v);
    store<kN>(z.row(row) + column, v);
  };
  const auto read = [&](std::int64_t column, float(&v)[kN]) { load<kN>(z.row(row) + column, v); };
  const float r = normalise_row<kN>(columns, epsilon, gain, y.row(row), add, read);
  if (threadIdx.x == 0) rstd[row] = r;
}

// Each row of d_out is read once, by the thread that writes it to both places. Blocks stand over columns (x)
// and groups of rows (y); a group's part of d_bias stays in registers.
template <class T, int kN>
__global__ void __launch_bounds__(256)
    lfa_taps_backward_kernel(Rows<const T> d_out, LfaBorders borders, Rows<T> d_products, Rows<T> d_before,
                             float* partials, std::int64_t rows, std::int64_t columns) {
  const std::int64_t column = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kN;
  if (column >= columns) return;
  float sum[kN] = {};
  for (std::int64_t t = blockIdx.y; t < rows; t += gridDim.y) {
    float d[kN];
    load_once<kN>(d_out.row(t) + column, d);
    for (int i = 0; i < kN; ++i) sum[i] += d[i];
    store<kN>(d_products.row(t) + columns + column, d);
    if (t + 1 == rows || borders.first_of_sample(t + 1)) {  // no token comes that could have taken prev[t]
      const float zero[kN] = {};
      store<kN>(d_products.row(t) + column, zero);
    }
    if (!borders.taken(t)) {
      for (int i = 0; i < kN; ++i) d[i] = 0.0F;
    }
    if (!borders.first_of_sample(t)) {
      store<kN>(d_products.row(t - 1) + column, d);
    } else if (d_before.data != nullptr) {
      store<kN>(d_before.row(borders.sample(t)) + column, d);
    }
  }
  if (partials != nullptr) {
    for (int i = 0; i < kN; ++i) partials[blockIdx.y * columns + column + i] = sum[i];
  }
}

template <class T>
bool taps_fit_vectors(const Taps<T>& taps, Rows<T> out, std::int64_t columns) {
  return fit_vectors(columns, taps.products, taps.before, one_row(taps.bias), taps.residual, out);
}

}  // namespace

template <class T>
void lfa_taps(const Taps<T>& taps, const LfaBorders& borders, Rows<T> out, std::int64_t rows,
              std::int64_t columns, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const bool vectors = taps_fit_vectors(taps, out, columns);
  const RowGrid shape(rows, columns, vectors ? kVector<T> : 1);
  launch(vectors ? lfa_taps_kernel<T, kVector<T>> : lfa_taps_kernel<T, 1>, shape.grid, shape.threads, 0,
         stream, taps, borders, out, rows, columns);
}

template <class T>
void lfa_taps_rms_norm(const Taps<T>& taps, const LfaBorders& borders, const T* gain, double epsilon,
                       Rows<T> z, Rows<T> y, float* rstd, std::int64_t rows, std::int64_t columns,
                       cudaStream_t stream) {
  if (rows == 0) return;
  const bool vectors = taps_fit_vectors(taps, z, columns) && fit_vectors(columns, one_row(gain), y);
  launch(vectors ? lfa_taps_rms_norm_kernel<T, kVector<T>> : lfa_taps_rms_norm_kernel<T, 1>,
         static_cast<unsigned>(rows), row_threads(columns, vectors ? kVector<T> : 1), 0, stream, taps,
         borders, gain, epsilon, z, y, rstd, columns);
}

template <class T>
void lfa_taps_backward(Rows<const T> d_out, const LfaBorders& borders, Rows<T> d_products, Rows<T> d_before,
                       float* d_bias, void* workspace, std::int64_t rows, std::int64_t columns,
                       cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const bool vectors = fit_vectors(columns, d_out, d_products, d_before);
  const std::int64_t chunk = vectors ? kVector<T> : 1, groups = row_groups(rows);
  const unsigned threads = row_threads(columns, static_cast<int>(chunk), 256);
  const std::int64_t width = threads * chunk;
  auto* partials = d_bias == nullptr ? nullptr : static_cast<float*>(workspace);
  launch(vectors ? lfa_taps_backward_kernel<T, kVector<T>> : lfa_taps_backward_kernel<T, 1>,
         dim3(static_cast<unsigned>((columns + width - 1) / width), static_cast<unsigned>(groups)), threads,
         0, stream, d_out, borders, d_products, d_before, partials, rows, columns);
  if (d_bias != nullptr) add_column_sums(partials, groups, columns, d_bias, stream);
}

#define INSTANTIATE(T)                                                                                   \
  template void lfa_taps(const Taps<T>&, const LfaBorders&, Rows<T>, std::int64_t, std::int64_t,         \
                         cudaStream_t);                                                                  \
  template void lfa_taps_rms_norm(const Taps<T>&, const LfaBorders&, const T*, double, Rows<T>, Rows<T>, \
                                  float*, std::int64_t, std::int64_t, cudaStream_t);                     \
  template void lfa_taps_backward(Rows<const T>, const LfaBorders&, Rows<T>, Rows<T>, float*, void*,     \
                                  std::int64_t, std::int64_t, cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace headwater::kernels
