// Localized filtering: what follows the products of a causal 2-tap convolution, forward and backward.

#include "column_sums.cuh"
#include "norm_row.cuh"

namespace headwater::kernels {
namespace {

// The terms of one row of the op's sum; a null pointer stands for a term that it does not have.
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
  struct Raw {
    Chunk<T, kN> current, previous, bias, residual;
  };
  template <int kN>
  __device__ __forceinline__ Raw<kN> fetch(std::int64_t column) const {
    const auto term = [column](const T* from) {
      return from == nullptr ? Chunk<T, kN>::zero() : Chunk<T, kN>::load(from + column);
    };
    return {Chunk<T, kN>::load_once(current + column), term(previous), term(bias), term(residual)};
  }
  template <int kN>
  __device__ __forceinline__ static void sum(const Raw<kN>& raw, float (&v)[kN]) {
    float more[kN];
    raw.current.unpack(v);
    for (const Chunk<T, kN>& term : {raw.previous, raw.bias, raw.residual}) {
      term.unpack(more);
      for (int i = 0; i < kN; ++i) v[i] += more[i];
    }
  }
};

// That row as one that a norm is taken of.
template <class T, int kN>
struct SumOfTaps {
  TapsRow<T> terms;
  T* z;

  using Raw = typename TapsRow<T>::template Raw<kN>;
  __device__ __forceinline__ Raw fetch(std::uint32_t column) const {
    return terms.template fetch<kN>(column);
  }
  __device__ __forceinline__ Chunk<T, kN> make(const Raw& raw, std::uint32_t) const {
    float v[kN];
    TapsRow<T>::sum(raw, v);
    return Chunk<T, kN>::pack(v);
  }
  __device__ __forceinline__ void keep(std::uint32_t column, const Chunk<T, kN>& chunk) const {
    chunk.store(z + column);
  }
  __device__ __forceinline__ Chunk<T, kN> again(std::uint32_t column) const {
    return Chunk<T, kN>::load(z + column);
  }
};

template <class T, int kN>
__global__ void __launch_bounds__(256)
    lfa_taps_kernel(Taps<T> taps, LfaBorders borders, Rows<T> out, std::int64_t rows, std::int64_t columns) {
  for_each_chunk<kN>(rows, columns, [&](std::int64_t row, std::int64_t column) {
    float v[kN];
    TapsRow<T>::sum(TapsRow<T>(taps, borders, row, columns).template fetch<kN>(column), v);
    store<kN>(out.row(row) + column, v);
  });
}

template <class T, int kN>
__global__ void __launch_bounds__(kRowThreads)
    lfa_taps_rms_norm_kernel(Taps<T> taps, LfaBorders borders, const T* gain, float epsilon, Rows<T> z,
                             Rows<T> y, float* rstd, std::int64_t rows, std::int64_t columns) {
  const std::int64_t row = shared_row();
  if (row >= rows) return;
  const SumOfTaps<T, kN> source{TapsRow<T>(taps, borders, row, columns), z.row(row)};
  const float r = rms_norm_row<T, kN>(source, columns, epsilon, gain, y.row(row));
  if (threadIdx.x == 0) rstd[row] = r;
}

// Blocks stand over columns (x) and groups of rows (y). Each row of d_out is read once, by the thread that
// writes it to both places; kAhead rows are asked for before the first is used. A group's part of d_bias
// stays in registers.
constexpr int kAhead = 4;

template <class T, int kN>
__global__ void __launch_bounds__(256)
    lfa_taps_backward_kernel(Rows<const T> d_out, LfaBorders borders, Rows<T> d_products, Rows<T> d_before,
                             float* partials, std::int64_t rows, std::int64_t columns) {
  const std::int64_t column = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kN;
  if (column >= columns) return;
  const auto zero = Chunk<T, kN>::zero();
  const std::int64_t groups = gridDim.y;
  float sum[kN] = {};
  for (std::int64_t t = blockIdx.y; t < rows; t += kAhead * groups) {
    Chunk<T, kN> d[kAhead];
    bool taken[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const std::int64_t row = min(t + i * groups, rows - 1);
      d[i] = Chunk<T, kN>::load_once(d_out.row(row) + column);
      taken[i] = borders.taken(row);
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const std::int64_t row = t + i * groups;
      if (row >= rows) break;
      float v[kN];
      d[i].unpack(v);
      for (int k = 0; k < kN; ++k) sum[k] += v[k];
      d[i].store(d_products.row(row) + columns + column);
      // What row − 1 of prev went to: this row, or nothing where a sample begins.
      const bool reached = taken[i] && !borders.first_of_sample(row);
      if (row > 0) (reached ? d[i] : zero).store(d_products.row(row - 1) + column);
    }
  }
  if ((rows - 1) % groups == blockIdx.y) zero.store(d_products.row(rows - 1) + column);
  if (d_before.data != nullptr) {
    for (std::int64_t sample = blockIdx.y; sample * borders.sequence < rows; sample += groups) {
      const std::int64_t t = sample * borders.sequence;
      const auto d = borders.taken(t) ? Chunk<T, kN>::load_once(d_out.row(t) + column) : zero;
      d.store(d_before.row(sample) + column);
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
  const RowShare shape(rows, columns, vectors ? kVector<T> : 1);
  launch(vectors ? lfa_taps_rms_norm_kernel<T, kVector<T>> : lfa_taps_rms_norm_kernel<T, 1>, shape.grid,
         shape.block, 0, stream, taps, borders, gain, epsilon, z, y, rstd, rows, columns);
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
