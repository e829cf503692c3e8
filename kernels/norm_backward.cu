// Backward of RMSNorm: a block goes through its group of rows and keeps the group's part of d_gain.

#include "column_sums.cuh"
#include "norm_gradient.cuh"

namespace headwater::kernels {
namespace {

// With n = x·r: dx = r(dy ⊙ g − n·mean(dy ⊙ g ⊙ n)), partials[group] = Σ dy ⊙ n over the rows of the group. A
// thread has the same columns of every row: of its first chunk it has the sums in registers, and asks for the
// next row before this one's mean is there; further chunks of a row wider than the block are read again, from
// cache, for dx.
template <class T, int kN, bool kAccumulate>
__global__ void __launch_bounds__(kGroupThreads, 2)
    rms_norm_backward_kernel(Rows<const T> dy, Rows<const T> x, const T* gain, const float* rstd, Rows<T> dx,
                             float* partials, std::int64_t rows, std::int64_t columns) {
  SHARED_ARRAY(float, partial, [2][kWarp]);
  float* const sums = partials + blockIdx.x * columns;
  const std::int64_t first = static_cast<std::int64_t>(threadIdx.x) * kN;
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kN;
  const NormRowParts<T, kN> parts{dy, x, dx, rows};
  NormGradient<T, kN> next = parts.template fetch<kAccumulate>(blockIdx.x, first, columns);
  float first_sums[kN] = {};

  unsigned turn = 0;  // which of the two rows of `partial`: a thread is at most one barrier ahead of another
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x, turn ^= 1U) {
    const NormGradient<T, kN> here = next;
    next = parts.template fetch<kAccumulate>(row + gridDim.x, first, columns);
    float dot = 0.0F;
    const auto add_dot = [&dot](const NormGradient<T, kN>& of, const Chunk<T, kN>& of_gain) {
      float d[kN], v[kN], w[kN];
      of.dy.unpack(d), of.x.unpack(v), of_gain.unpack(w);
      for (int i = 0; i < kN; ++i) dot += d[i] * w[i] * v[i];
    };
    if (first < columns) add_dot(here, Chunk<T, kN>::load(gain + first));
    for (std::int64_t column = first + step; column < columns; column += step)
      add_dot(parts.template fetch<false>(row, column, columns), Chunk<T, kN>::load(gain + column));
    const float r = rstd[row];
    const float mean = row_sum(dot, partial[turn]) * r / static_cast<float>(columns);

    const auto finish = [&](std::int64_t column, const NormGradient<T, kN>& of, const Chunk<T, kN>& of_gain,
                            float(&sum)[kN]) {
      float d[kN], v[kN], w[kN], result[kN];
      of.dy.unpack(d), of.x.unpack(v), of_gain.unpack(w), of.dx.unpack(result);
      for (int i = 0; i < kN; ++i) {
        const float n = v[i] * r, value = r * (d[i] * w[i] - n * mean);
        sum[i] += d[i] * n;
        result[i] = kAccumulate ? result[i] + value : value;
      }
      store<kN>(dx.row(row) + column, result);
    };
    if (first < columns) finish(first, here, Chunk<T, kN>::load(gain + first), first_sums);
    for (std::int64_t column = first + step; column < columns; column += step) {
      float sum[kN] = {};
      if (row != blockIdx.x) {
        for (int i = 0; i < kN; ++i) sum[i] = sums[column + i];
      }
      finish(column, parts.template fetch<kAccumulate>(row, column, columns),
             Chunk<T, kN>::load(gain + column), sum);
      for (int i = 0; i < kN; ++i) sums[column + i] = sum[i];
    }
  }
  if (first < columns) {
    for (int i = 0; i < kN; ++i) sums[first + i] = first_sums[i];
  }
}

}  // namespace

template <class T>
void rms_norm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, const float* rstd, Rows<T> dx,
                       bool accumulate, float* d_gain, void* workspace, std::int64_t rows,
                       std::int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  const bool vectors = fit_vectors(columns, dy, x, one_row(gain), dx);
  const auto kernel =
      vectors ? (accumulate ? rms_norm_backward_kernel<T, kVector<T>, true>
                            : rms_norm_backward_kernel<T, kVector<T>, false>)
              : (accumulate ? rms_norm_backward_kernel<T, 1, true> : rms_norm_backward_kernel<T, 1, false>);
  const std::int64_t groups = row_groups(rows);
  auto* partials = static_cast<float*>(workspace);
  launch(kernel, static_cast<unsigned>(groups), row_threads(columns, vectors ? kVector<T> : 1, kGroupThreads),
         0, stream, dy, x, gain, rstd, dx, partials, rows, columns);
  add_column_sums(partials, groups, columns, d_gain, stream);
}

#define INSTANTIATE(T)                                                                                 \
  template void rms_norm_backward(Rows<const T>, Rows<const T>, const T*, const float*, Rows<T>, bool, \
                                  float*, void*, std::int64_t, std::int64_t, cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace headwater::kernels
