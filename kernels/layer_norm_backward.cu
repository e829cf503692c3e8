// Backward of LayerNorm: a block goes through its group of rows and keeps the group's parts of d_gain and
// d_bias.

#include "column_sums.cuh"
#include "norm_gradient.cuh"

namespace headwater::kernels {
namespace {

// With n = (x − mean)·r and d = dy ⊙ g: dx = addend + r(d − mean(d) − n·mean(d ⊙ n)). Rows are walked as in
// norm_backward.cu.
template <class T, int kN, bool kAddend>
__global__ void __launch_bounds__(kGroupThreads)
    layer_norm_backward_kernel(Rows<const T> dy, Rows<const T> x, const T* gain, const float* mean,
                               const float* rstd, Rows<const T> addend, Rows<T> dx, float* gain_partials,
                               float* bias_partials, std::int64_t rows, std::int64_t columns) {
  SHARED_ARRAY(float, partial, [2][kGroupThreads / kWarp]);
  float* const gain_sums = gain_partials + blockIdx.x * columns;
  float* const bias_sums = bias_partials + blockIdx.x * columns;
  const float of_mean = 1.0F / static_cast<float>(columns);
  const GroupRows<T, kN, kAddend> group{dy, x, addend, rows, columns};
  float g[kParts][kN] = {}, gain_sum[kParts][kN] = {}, bias_sum[kParts][kN] = {};
  group.for_parts([&](int part) { load<kN>(gain + group.column(part), g[part]); });
  NormGradient<T, kN> next[kParts] = {};
  group.ask(blockIdx.x, next);
  float next_m = mean[blockIdx.x], next_r = rstd[blockIdx.x];

  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const float m = next_m, r = next_r;
    float d[kParts][kN], v[kParts][kN], result[kParts][kN];
    for (int part = 0; part < kParts; ++part)
      next[part].dy.unpack(d[part]), next[part].x.unpack(v[part]), next[part].addend.unpack(result[part]);
    group.ask(row + gridDim.x, next);
    const std::int64_t next_row = min(row + gridDim.x, rows - 1);
    next_m = mean[next_row], next_r = rstd[next_row];

    float sum = 0.0F, dot = 0.0F;  // of d, and of d ⊙ n
    const auto add_means = [=, &sum, &dot](const float(&of_dy)[kN], const float(&of_x)[kN],
                                           const float(&of_gain)[kN]) {
      for (int i = 0; i < kN; ++i)
        sum += of_dy[i] * of_gain[i], dot += of_dy[i] * of_gain[i] * ((of_x[i] - m) * r);
    };
    for (int part = 0; part < kParts; ++part) add_means(d[part], v[part], g[part]);
    group.beyond([&](std::int64_t column) {
      const NormGradient<T, kN> chunk = group.ask(row, column);
      float more_d[kN], more_v[kN], more_g[kN];
      chunk.dy.unpack(more_d), chunk.x.unpack(more_v), load<kN>(gain + column, more_g);
      add_means(more_d, more_v, more_g);
    });
    // Two barriers a row: who writes one half of `partial` anew knows that all have read it.
    const float mean_d = row_sum(sum, partial[0]) * of_mean, mean_dot = row_sum(dot, partial[1]) * of_mean;

    const auto finish = [=](const float(&of_dy)[kN], const float(&of_x)[kN], const float(&of_gain)[kN],
                            float(&of_dx)[kN], float(&to_gain)[kN], float(&to_bias)[kN]) {
      for (int i = 0; i < kN; ++i) {
        const float n = (of_x[i] - m) * r, value = r * (of_dy[i] * of_gain[i] - mean_d - n * mean_dot);
        to_gain[i] += of_dy[i] * n;
        to_bias[i] += of_dy[i];
        of_dx[i] = kAddend ? of_dx[i] + value : value;
      }
    };
    group.for_parts([&](int part) {
      finish(d[part], v[part], g[part], result[part], gain_sum[part], bias_sum[part]);
      store<kN>(dx.row(row) + group.column(part), result[part]);
    });
    group.beyond([&](std::int64_t column) {
      const NormGradient<T, kN> chunk = group.ask(row, column);
      float more_d[kN], more_v[kN], more_g[kN], more_dx[kN], to_gain[kN] = {}, to_bias[kN] = {};
      chunk.dy.unpack(more_d), chunk.x.unpack(more_v), load<kN>(gain + column, more_g);
      chunk.addend.unpack(more_dx);
      if (row != blockIdx.x) load_sums(gain_sums + column, to_gain), load_sums(bias_sums + column, to_bias);
      finish(more_d, more_v, more_g, more_dx, to_gain, to_bias);
      store<kN>(dx.row(row) + column, more_dx);
      store_sums(gain_sums + column, to_gain), store_sums(bias_sums + column, to_bias);
    });
  }
  group.for_parts([&](int part) {
    store_sums(gain_sums + group.column(part), gain_sum[part]);
    store_sums(bias_sums + group.column(part), bias_sum[part]);
  });
}

}  // namespace

template <class T>
void layer_norm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, const float* mean,
                         const float* rstd, Rows<const T> addend, Rows<T> dx, float* d_gain, float* d_bias,
                         void* workspace, std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  const bool added = addend.data != nullptr;
  const bool vectors = fit_vectors(columns, dy, x, one_row(gain), addend, dx);
  const auto kernel =
      vectors ? (added ? layer_norm_backward_kernel<T, kVector<T>, true>
                       : layer_norm_backward_kernel<T, kVector<T>, false>)
              : (added ? layer_norm_backward_kernel<T, 1, true> : layer_norm_backward_kernel<T, 1, false>);
  const std::int64_t groups = row_groups(rows);
  auto* gain_partials = static_cast<float*>(workspace);
  float* bias_partials = gain_partials + groups * columns;
  launch(kernel, static_cast<unsigned>(groups), group_threads(columns, vectors ? kVector<T> : 1), 0, stream,
         dy, x, gain, mean, rstd, addend, dx, gain_partials, bias_partials, rows, columns);
  if (d_gain != nullptr) add_column_sums(gain_partials, groups, columns, d_gain, stream);
  if (d_bias != nullptr) add_column_sums(bias_partials, groups, columns, d_bias, stream);
}

#define INSTANTIATE(T)                                                                                  \
  template void layer_norm_backward(Rows<const T>, Rows<const T>, const T*, const float*, const float*, \
                                    Rows<const T>, Rows<T>, float*, float*, void*, std::int64_t,        \
                                    std::int64_t, cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace headwater::kernels
