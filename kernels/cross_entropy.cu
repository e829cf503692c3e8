// Cross-entropy over a shard of the vocabulary. A row of logits is read once for its statistics (Milakov &
// Gimelshein 2018: maximum and sum at once), once more for its gradient, and the gradient takes its place.

#include "activation.cuh"
#include "double_sum.cuh"
#include "rows.cuh"

namespace headwater::kernels {
namespace {

constexpr int kThreads = 512;

// Of some logits: their maximum, and Σ exp(logit − maximum).
struct Softmax {
  float maximum = -INFINITY, sum = 0.0F;

  // What the sum is worth under another maximum that is no smaller. Equal infinities are not subtracted.
  __device__ __forceinline__ float sum_under(float other) const {
    return maximum == other ? sum : sum * exp_of(maximum - other);
  }
  template <int kN>
  __device__ __forceinline__ void add(const float (&v)[kN]) {
    float larger = maximum;
    for (int i = 0; i < kN; ++i) larger = fmaxf(larger, v[i]);
    sum = sum_under(larger);
    maximum = larger;
    for (int i = 0; i < kN; ++i) sum += exp_of(v[i] - maximum);  // NaN, or an infinity, makes the sum NaN
  }
};

// A block a row, of which a thread asks for kAhead chunks before it uses the first.
constexpr int kAhead = 4;
template <class T, int kN>
__global__ void __launch_bounds__(kThreads)
    softmax_statistics_kernel(Rows<const T> logits, const std::int32_t* labels, std::int64_t first,
                              std::int64_t valid, float* statistics) {
  SHARED_ARRAY(float, maxima, [kWarp]);
  SHARED_ARRAY(float, sums, [kWarp]);
  const std::int64_t row = blockIdx.x, whole = valid - valid % kN;
  const T* const values = logits.row(row);
  Softmax mine;
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kN;
  for (std::int64_t column = static_cast<std::int64_t>(threadIdx.x) * kN; column < whole;
       column += kAhead * step) {
    Chunk<T, kN> ahead[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i)
      if (column + i * step < whole) ahead[i] = Chunk<T, kN>::load_once(values + column + i * step);
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (column + i * step >= whole) break;
      float v[kN];
      ahead[i].unpack(v);
      mine.add(v);
    }
  }
  if (whole + threadIdx.x < valid) {  // less than a chunk
    const float v[1] = {to_float(values[whole + threadIdx.x])};
    mine.add(v);
  }

  const float maximum_of_warp = warp_max(mine.maximum);
  const float sum_of_warp = warp_sum(mine.sum_under(maximum_of_warp));
  if (threadIdx.x % kWarp == 0)
    maxima[threadIdx.x / kWarp] = maximum_of_warp, sums[threadIdx.x / kWarp] = sum_of_warp;
  __syncthreads();
  if (threadIdx.x != 0) return;
  Softmax all;
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) all.maximum = fmaxf(all.maximum, maxima[warp]);
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) {
    Softmax part;
    part.maximum = maxima[warp], part.sum = sums[warp];
    all.sum += part.sum_under(all.maximum);
  }
  const std::int64_t label = labels[row] - first;
  statistics[3 * row] = all.maximum;
  statistics[3 * row + 1] = all.sum;
  statistics[3 * row + 2] = label >= 0 && label < valid ? to_float(values[label]) : 0.0F;
}

__global__ void __launch_bounds__(256)
    combine_statistics_kernel(const float* shards, std::int64_t count, float* statistics, std::int64_t rows) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  Softmax all;
  float label_logit = 0.0F;
  for (std::int64_t i = 0; i < count; ++i) all.maximum = fmaxf(all.maximum, shards[3 * (i * rows + row)]);
  for (std::int64_t i = 0; i < count; ++i) {
    const float* const shard = shards + 3 * (i * rows + row);
    Softmax part;
    part.maximum = shard[0], part.sum = shard[1];
    if (part.sum != 0.0F) all.sum += part.sum_under(all.maximum);  // 0: a shard of nothing but padding
    label_logit += shard[2];
  }
  statistics[3 * row] = all.maximum;
  statistics[3 * row + 1] = all.sum;
  statistics[3 * row + 2] = label_logit;
}

// logits ← (softmax − onehot) · (mask / targets), zero in padding columns.
template <class T, int kN>
__global__ void __launch_bounds__(256)
    cross_entropy_backward_kernel(Rows<T> logits, const std::int32_t* labels, std::int64_t first,
                                  std::int64_t valid, const float* statistics, const double* targets,
                                  std::int64_t rows, std::int64_t columns) {
  const auto factor = static_cast<float>(1.0 / *targets);
  for_each_chunk<kN>(rows, columns, [&](std::int64_t row, std::int64_t column) {
    float v[kN] = {};
    if (labels[row] >= 0 && column < valid) {
      const std::int64_t label = labels[row] - first - column;  // counted from this chunk
      const float maximum = statistics[3 * row], rest = 1.0F / statistics[3 * row + 1];
      load<kN>(logits.row(row) + column, v);
      for (int i = 0; i < kN; ++i) {
        const float gradient = exp_of(v[i] - maximum) * rest - (i == label ? 1.0F : 0.0F);
        v[i] = column + i < valid ? factor * gradient : 0.0F;
      }
    }
    store<kN>(logits.row(row) + column, v);
  });
}

// One block, so that the order is the same for any GPU.
constexpr int kLossThreads = 1024;
__global__ void __launch_bounds__(kLossThreads)
    cross_entropy_loss_kernel(const std::int32_t* labels, const float* statistics, double* loss_sum,
                              std::int64_t rows) {
  double mine = 0.0;
  for (std::int64_t row = threadIdx.x; row < rows; row += kLossThreads) {
    if (labels[row] < 0) continue;
    const float* const s = statistics + 3 * row;
    mine += log(static_cast<double>(s[1])) + static_cast<double>(s[0]) - static_cast<double>(s[2]);
  }
  const double all = block_sum_of_doubles<kLossThreads>(mine);
  if (threadIdx.x == 0) *loss_sum += all;
}

}  // namespace

template <class T>
void softmax_statistics(Rows<const T> logits, const std::int32_t* labels, std::int64_t first,
                        std::int64_t valid, float* statistics, std::int64_t rows, cudaStream_t stream) {
  if (rows == 0) return;
  const bool vectors = aligned(logits, 16);
  launch(vectors ? softmax_statistics_kernel<T, kVector<T>> : softmax_statistics_kernel<T, 1>,
         static_cast<unsigned>(rows), row_threads(valid, vectors ? kVector<T> : 1, kThreads), 0, stream,
         logits, labels, first, valid, statistics);
}

void combine_statistics(const float* shards, std::int64_t count, float* statistics, std::int64_t rows,
                        cudaStream_t stream) {
  if (rows == 0) return;
  launch(combine_statistics_kernel, static_cast<unsigned>((rows + 255) / 256), 256, 0, stream, shards, count,
         statistics, rows);
}

template <class T>
void cross_entropy_backward(Rows<T> logits, const std::int32_t* labels, std::int64_t first,
                            std::int64_t valid, const float* statistics, const double* targets,
                            std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const bool vectors = fit_vectors(columns, logits);
  const RowGrid shape(rows, columns, vectors ? kVector<T> : 1);
  launch(vectors ? cross_entropy_backward_kernel<T, kVector<T>> : cross_entropy_backward_kernel<T, 1>,
         shape.grid, shape.threads, 0, stream, logits, labels, first, valid, statistics, targets, rows,
         columns);
}

void cross_entropy_loss(const std::int32_t* labels, const float* statistics, double* loss_sum,
                        std::int64_t rows, cudaStream_t stream) {
  launch(cross_entropy_loss_kernel, 1, kLossThreads, 0, stream, labels, statistics, loss_sum, rows);
}

#define INSTANTIATE(T)                                                                                     \
  template void softmax_statistics(Rows<const T>, const std::int32_t*, std::int64_t, std::int64_t, float*, \
                                   std::int64_t, cudaStream_t);                                            \
  template void cross_entropy_backward(Rows<T>, const std::int32_t*, std::int64_t, std::int64_t,           \
                                       const float*, const double*, std::int64_t, std::int64_t,            \
                                       cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace headwater::kernels
