// Backward of LayerNorm: a block goes through its group of rows and keeps the group's parts of d_gain and
// d_bias.

#include "column_sums.cuh"
#include "norm_gradient.cuh"

namespace headwater::kernels {
namespace {

// A group's sums of some columns: dy ⊙ n and dy.
template <int kN>
struct GroupSums {
  float gain[kN] = {}, bias[kN] = {};

  __device__ __forceinline__ void load(const float* of_gain, const float* of_bias) {
    for (int i = 0; i < kN; ++i) gain[i] = of_gain[i], bias[i] = of_bias[i];
  }
  __device__ __forceinline__ void store(float* of_gain, float* of_bias) const {
    for (int i = 0; i < kN; ++i) of_gain[i] = gain[i], of_bias[i] = bias[i];
  }
};

// With n = (x − mean)·r and d = dy ⊙ g: dx = r(d − mean(d) − n·mean(d ⊙ n)). Rows are walked as in
// norm_backward.cu.
template <class T, int kN, bool kAccumulate>
__global__ void __launch_bounds__(kGroupThreads)
    layer_norm_backward_kernel(Rows<const T> dy, Rows<const T> x, const T* gain, const float* mean,
                               const float* rstd, Rows<T> dx, float* gain_partials, float* bias_partials,
                               std::int64_t rows, std::int64_t columns) {
  SHARED_ARRAY(float, partial, [2][kWarp]);
  float* const gain_sums = gain_partials + blockIdx.x * columns;
  float* const bias_sums = bias_partials + blockIdx.x * columns;
  const std::int64_t first = static_cast<std::int64_t>(threadIdx.x) * kN;
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kN;
  const auto count = static_cast<float>(columns);
  const NormRowParts<T, kN> parts{dy, x, dx, rows};
  NormGradient<T, kN> next = parts.template fetch<kAccumulate>(blockIdx.x, first, columns);
  GroupSums<kN> first_sums;

  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const NormGradient<T, kN> here = next;
    next = parts.template fetch<kAccumulate>(row + gridDim.x, first, columns);
    const float m = mean[row], r = rstd[row];
    float sum = 0.0F, dot = 0.0F;  // of d, and of d ⊙ n
    const auto add_means = [&](const NormGradient<T, kN>& of, const Chunk<T, kN>& of_gain) {
      float d[kN], v[kN], w[kN];
      of.dy.unpack(d), of.x.unpack(v), of_gain.unpack(w);
      for (int i = 0; i < kN; ++i) sum += d[i] * w[i], dot += d[i] * w[i] * ((v[i] - m) * r);
    };
    if (first < columns) add_means(here, Chunk<T, kN>::load(gain + first));
    for (std::int64_t column = first + step; column < columns; column += step)
      add_means(parts.template fetch<false>(row, column, columns), Chunk<T, kN>::load(gain + column));
    // Two barriers a row: who writes one half of `partial` anew knows that all have read it.
    const float mean_d = row_sum(sum, partial[0]) / count, mean_dot = row_sum(dot, partial[1]) / count;

    const auto finish = [&](std::int64_t column, const NormGradient<T, kN>& of, const Chunk<T, kN>& of_gain,
                            GroupSums<kN>& sums) {
      float d[kN], v[kN], w[kN], result[kN];
      of.dy.unpack(d), of.x.unpack(v), of_gain.unpack(w), of.dx.unpack(result);
      for (int i = 0; i < kN; ++i) {
        const float n = (v[i] - m) * r, value = r * (d[i] * w[i] - mean_d - n * mean_dot);
        sums.gain[i] += d[i] * n;
        sums.bias[i] += d[i];
        result[i] = kAccumulate ? result[i] + value : value;
      }
      store<kN>(dx.row(row) + column, result);
    };
    if (first < columns) finish(first, here, Chunk<T, kN>::load(gain + first), first_sums);
    for (std::int64_t column = first + step; column < columns; column += step) {
      GroupSums<kN> sums;
      if (row != blockIdx.x) sums.load(gain_sums + column, bias_sums + column);
      finish(column, parts.template fetch<kAccumulate>(row, column, columns),
             Chunk<T, kN>::load(gain + column), sums);
      sums.store(gain_sums + column, bias_sums + column);
    }
  }
  if (first < columns) first_sums.store(gain_sums + first, bias_sums + first);
}

}  // namespace

template <class T>
void layer_norm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, const float* mean,
                         const float* rstd, Rows<T> dx, bool accumulate, float* d_gain, float* d_bias,
                         void* workspace, std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  const bool vectors = fit_vectors(columns, dy, x, one_row(gain), dx);
  const auto kernel =
      vectors
          ? (accumulate ? layer_norm_backward_kernel<T, kVector<T>, true>
                        : layer_norm_backward_kernel<T, kVector<T>, false>)
          : (accumulate ? layer_norm_backward_kernel<T, 1, true> : layer_norm_backward_kernel<T, 1, false>);
  const std::int64_t groups = row_groups(rows);
  auto* gain_partials = static_cast<float*>(workspace);
  float* bias_partials = gain_partials + groups * columns;
  launch(kernel, static_cast<unsigned>(groups), row_threads(columns, vectors ? kVector<T> : 1, kGroupThreads),
         0, stream, dy, x, gain, mean, rstd, dx, gain_partials, bias_partials, rows, columns);
  add_column_sums(gain_partials, groups, columns, d_gain, stream);
  add_column_sums(bias_partials, groups, columns, d_bias, stream);
}

#define INSTANTIATE(T)                                                                                  \
  template void layer_norm_backward(Rows<const T>, Rows<const T>, const T*, const float*, const float*, \
                                    Rows<T>, bool, float*, float*, void*, std::int64_t, std::int64_t,   \
                                    cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace headwater::kernels
