// Cross-entropy over a shard of the vocabulary, a block a row. A row of logits is read once for its
// statistics (Milakov & Gimelshein 2018: maximum and sum at once), once more for its gradient, and the
// gradient takes its place.

#include "activation.cuh"
#include "double_sum.cuh"
#include "rows.cuh"

namespace headwater::kernels {
namespace {

constexpr int kThreads = 512;

// Holds the maximum of the logits that it has been given, and Σ exp(logit − maximum).
struct Softmax {
  float maximum = -INFINITY, sum = 0.0F;

  // Returns the sum as it would be with `other` for the maximum, which is no smaller. Equal infinities are
  // not subtracted.
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

// body(column, ask(column)) for a thread's chunks of the block's row up to `end`, of which it asks for kAhead
// before it uses the first.
constexpr int kAhead = 4;
template <int kN, class Ask, class Body>
__device__ __forceinline__ void for_each_ahead(std::uint32_t end, const Ask& ask, const Body& body) {
  const std::uint32_t step = blockDim.x * kN;
  for (std::uint32_t column = threadIdx.x * kN; column < end; column += kAhead * step) {
    decltype(ask(column)) ahead[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i)
      if (column + i * step < end) ahead[i] = ask(column + i * step);
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (column + i * step >= end) break;
      body(column + i * step, ahead[i]);
    }
  }
}

template <class T, int kN>
__global__ void __launch_bounds__(kThreads)
    softmax_statistics_kernel(Rows<const T> logits, const std::int32_t* labels, std::int64_t first,
                              std::int64_t valid, float* statistics) {
  SHARED_ARRAY(float, maxima, [kWarp]);
  SHARED_ARRAY(float, sums, [kWarp]);
  const std::int64_t row = blockIdx.x;
  const auto whole = static_cast<std::uint32_t>(valid - valid % kN);
  const T* const values = logits.row(row);
  Softmax mine;
  for_each_ahead<kN>(
      whole, [values](std::uint32_t column) { return Chunk<T, kN>::load_once(values + column); },
      [&mine](std::uint32_t, const Chunk<T, kN>& chunk) {
        float v[kN];
        chunk.unpack(v);
        mine.add(v);
      });
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
__global__ void __launch_bounds__(kThreads)
    cross_entropy_backward_kernel(Rows<T> logits, const std::int32_t* labels, std::int64_t first,
                                  std::int64_t valid, const float* statistics, const double* targets,
                                  std::int64_t columns) {
  const std::int64_t row = blockIdx.x, label = labels[row] - first;
  T* const values = logits.row(row);
  // Where the gradient ends, and where the label is, which another shard may have.
  const auto end = static_cast<std::uint32_t>(labels[row] < 0 ? 0 : valid);
  const auto place = static_cast<std::uint32_t>(label >= 0 && label < end ? label : columns);
  const float maximum = statistics[3 * row], factor = static_cast<float>(1.0 / *targets);
  const float scale = factor / statistics[3 * row + 1];
  for_each_ahead<kN>(
      static_cast<std::uint32_t>(columns),
      [values](std::uint32_t column) { return Chunk<T, kN>::load(values + column); },
      [=](std::uint32_t column, const Chunk<T, kN>& chunk) {
        float v[kN];
        chunk.unpack(v);
        for (int i = 0; i < kN; ++i) v[i] = exp_of(v[i] - maximum) * scale;
        if (place - column < kN) {
          for (int i = 0; i < kN; ++i) v[i] -= column + i == place ? factor : 0.0F;
        }
        if (column + kN > end) {
          for (int i = 0; i < kN; ++i) v[i] = column + i < end ? v[i] : 0.0F;
        }
        Chunk<T, kN>::pack(v).store(values + column);
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
  launch(vectors ? cross_entropy_backward_kernel<T, kVector<T>> : cross_entropy_backward_kernel<T, 1>,
         static_cast<unsigned>(rows), row_threads(columns, vectors ? kVector<T> : 1, kThreads), 0, stream,
         logits, labels, first, valid, statistics, targets, columns);
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
