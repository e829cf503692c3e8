// Backward of RMSNorm: a block goes through its group of rows and keeps the group's part of d_gain.

#include "column_sums.cuh"
#include "norm_gradient.cuh"

namespace headwater::kernels {
namespace {

// With n = x·r: dx = addend + r(dy ⊙ g − n·mean(dy ⊙ g ⊙ n)), partials[group] = Σ dy ⊙ n over the rows of the
// group. The next row is asked for before this one's mean is there.
template <class T, int kN, bool kAddend>
__global__ void __launch_bounds__(kGroupThreads)
    rms_norm_backward_kernel(Rows<const T> dy, Rows<const T> x, const T* gain, const float* rstd,
                             Rows<const T> addend, Rows<T> dx, float* partials, std::int64_t rows,
                             std::int64_t columns) {
  SHARED_ARRAY(float, partial, [2][kGroupThreads / kWarp]);
  float* const sums = partials + blockIdx.x * columns;
  const float of_mean = 1.0F / static_cast<float>(columns);
  const GroupRows<T, kN, kAddend> group{dy, x, addend, rows, columns};
  float g[kParts][kN] = {}, sum[kParts][kN] = {};
  group.for_parts([&](int part) { load<kN>(gain + group.column(part), g[part]); });
  NormGradient<T, kN> next[kParts] = {};
  group.ask(blockIdx.x, next);
  float next_r = rstd[blockIdx.x];

  unsigned turn = 0;  // which of the two rows of `partial`: a thread is at most one barrier ahead of another
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x, turn ^= 1U) {
    const float r = next_r;
    float d[kParts][kN], v[kParts][kN], result[kParts][kN];
    for (int part = 0; part < kParts; ++part)
      next[part].dy.unpack(d[part]), next[part].x.unpack(v[part]), next[part].addend.unpack(result[part]);
    group.ask(row + gridDim.x, next);
    next_r = rstd[min(row + gridDim.x, rows - 1)];

    float dot = 0.0F;
    for (int part = 0; part < kParts; ++part)
      for (int i = 0; i < kN; ++i) dot += d[part][i] * g[part][i] * v[part][i];
    group.beyond([&](std::int64_t column) {
      const NormGradient<T, kN> chunk = group.ask(row, column);
      float more_d[kN], more_v[kN], more_g[kN];
      chunk.dy.unpack(more_d), chunk.x.unpack(more_v), load<kN>(gain + column, more_g);
      for (int i = 0; i < kN; ++i) dot += more_d[i] * more_g[i] * more_v[i];
    });
    const float mean = row_sum(dot, partial[turn]) * r * of_mean;

    const auto finish = [=](const float(&of_dy)[kN], const float(&of_x)[kN], const float(&of_gain)[kN],
                            float(&of_dx)[kN], float(&of_sum)[kN]) {
      for (int i = 0; i < kN; ++i) {
        const float n = of_x[i] * r, value = r * (of_dy[i] * of_gain[i] - n * mean);
        of_sum[i] += of_dy[i] * n;
        of_dx[i] = kAddend ? of_dx[i] + value : value;
      }
    };
    group.for_parts([&](int part) {
      finish(d[part], v[part], g[part], result[part], sum[part]);
      store<kN>(dx.row(row) + group.column(part), result[part]);
    });
    group.beyond([&](std::int64_t column) {
      const NormGradient<T, kN> chunk = group.ask(row, column);
      float more_d[kN], more_v[kN], more_g[kN], more_dx[kN], more_sum[kN] = {};
      chunk.dy.unpack(more_d), chunk.x.unpack(more_v), load<kN>(gain + column, more_g);
      chunk.addend.unpack(more_dx);
      if (row != blockIdx.x) load_sums(sums + column, more_sum);
      finish(more_d, more_v, more_g, more_dx, more_sum);
      store<kN>(dx.row(row) + column, more_dx);
      store_sums(sums + column, more_sum);
    });
  }
  group.for_parts([&](int part) { store_sums(sums + group.column(part), sum[part]); });
}

}  // namespace

template <class T>
void rms_norm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, const float* rstd,
                       Rows<const T> addend, Rows<T> dx, float* d_gain, void* workspace, std::int64_t rows,
                       std::int64_t columns, cudaStream_t stream) {
  if (rows == 0) return;
  const bool added = addend.data != nullptr;
  const bool vectors = fit_vectors(columns, dy, x, one_row(gain), addend, dx);
  const auto kernel =
      vectors ? (added ? rms_norm_backward_kernel<T, kVector<T>, true>
                       : rms_norm_backward_kernel<T, kVector<T>, false>)
              : (added ? rms_norm_backward_kernel<T, 1, true> : rms_norm_backward_kernel<T, 1, false>);
  const std::int64_t groups = row_groups(rows);
  auto* partials = static_cast<float*>(workspace);
  launch(kernel, static_cast<unsigned>(groups), group_threads(columns, vectors ? kVector<T> : 1), 0, stream,
         dy, x, gain, rstd, addend, dx, partials, rows, columns);
  if (d_gain != nullptr) add_column_sums(partials, groups, columns, d_gain, stream);
}

#define INSTANTIATE(T)                                                                                 \
  template void rms_norm_backward(Rows<const T>, Rows<const T>, const T*, const float*, Rows<const T>, \
                                  Rows<T>, float*, void*, std::int64_t, std::int64_t, cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace headwater::kernels
