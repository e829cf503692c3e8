// Attention, backward: statistics of the queries, the choice of kernels, and the rounding of dq where it was
// summed in the workspace.
//
// The statistics read out and d_out once, 4·B·Sq·A·D bytes in bf16: 10 µs for S = 4096, D = 128, A = 32 on an
// H100.

#include "attention_backward.cuh"
#include "vector.cuh"

namespace headwater::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kLanes = 8;  // that share a query and head

// δ and lse of each (sample, query, head), heads fastest.
template <class T, bool kAligned>
__global__ void __launch_bounds__(kThreads)
    statistics_kernel(const Attention<T> a, const AttentionGradients<T> g, const BackwardWorkspace w) {
  const std::int64_t item = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / kLanes;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int head = static_cast<int>(item % a.heads);
  const std::int64_t padded_row = item / a.heads;
  const int sample = static_cast<int>(padded_row / w.padded), query = static_cast<int>(padded_row % w.padded);
  const bool exists = sample < a.samples && query < a.queries;
  const std::int64_t row = static_cast<std::int64_t>(sample) * a.queries + query;
  float delta = 0.0F;
  if (exists) {
    const T* const out = g.out.data + row * g.out.stride + head * a.head_dim;
    const T* const d_out = g.d_out.data + row * g.d_out.stride + head * a.head_dim;
    if constexpr (kAligned) {
      for (int d = lane * Pack<T>::kElements; d < a.head_dim; d += kLanes * Pack<T>::kElements) {
        const Pack<T> x = Pack<T>::load(out + d), y = Pack<T>::load(d_out + d);
        for (int i = 0; i < Pack<T>::kElements; ++i) delta += x.value[i] * y.value[i];
      }
    } else {
      for (int d = lane; d < a.head_dim; d += kLanes) delta += to_float(out[d]) * to_float(d_out[d]);
    }
  }
  for (int step = kLanes / 2; step > 0; step /= 2) delta += ptx::shuffle_xor(delta, step);
  if (lane == 0 && sample < a.samples) {
    w.statistics[(static_cast<std::int64_t>(sample) * a.heads + head) * w.padded + query] = {
        exists ? g.lse.data[row * g.lse.stride + head] : INFINITY, delta};
  }
}

template <class T>
__global__ void __launch_bounds__(kQueryPad)
    first_keys_kernel(const Attention<T> a, const BackwardWorkspace w) {
  SHARED_ARRAY(RowsOfTile<kQueryPad>, rows, [1]);
  const int tile = static_cast<int>(blockIdx.x), sample = static_cast<int>(blockIdx.y);
  const FirstKeys range = first_keys<kQueryPad, kQueryPad>(a, sample, tile * kQueryPad, rows[0]);
  const std::int64_t row = static_cast<std::int64_t>(sample) * w.padded + tile * kQueryPad;
  w.first[row + threadIdx.x] = rows[0].first[threadIdx.x];
  if (threadIdx.x == 0) w.first_of_tile[row / kQueryPad] = range;
}

// dq = scale · sums, eight elements a thread.
__global__ void __launch_bounds__(kThreads) round_kernel(const Attention<bf16> a, const Rows<bf16> dq,
                                                         const float* __restrict__ sums, std::int64_t packs) {
  const std::int64_t pack = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (pack >= packs) return;
  const std::int64_t width = static_cast<std::int64_t>(a.heads) * a.head_dim, row = pack * 8 / width;
  Pack<bf16> rounded;
  for (int first = 0; first < 8; first += 4) {
    const Pack<float> sum = Pack<float>::load(sums + pack * 8 + first);
    for (int i = 0; i < 4; ++i) rounded.value[first + i] = a.scale * sum.value[i];
  }
  rounded.store(dq.data + row * dq.stride + pack * 8 % width);
}

unsigned blocks_for(std::int64_t threads) {
  return static_cast<unsigned>((threads + kThreads - 1) / kThreads);
}

template <class T, bool kAligned>
void prepare(const Attention<T>& a, const AttentionGradients<T>& g, const BackwardWorkspace& w,
             cudaStream_t stream) {
  const std::int64_t rows = static_cast<std::int64_t>(a.samples) * w.padded;
  launch(statistics_kernel<T, kAligned>, blocks_for(rows * a.heads * kLanes), kThreads, 0, stream, a, g, w);
  const dim3 tiles(static_cast<unsigned>(w.padded / kQueryPad), static_cast<unsigned>(a.samples));
  launch(first_keys_kernel<T>, tiles, dim3(kQueryPad), 0, stream, a, w);
}

bool all_aligned(const AttentionGradients<bf16>& g) {
  return aligned_16(g.out) && aligned_16(g.d_out) && aligned_16(g.dq) && aligned_16(g.dk) && aligned_16(g.dv);
}

}  // namespace

template <>
void attention_backward(const Attention<float>& a, const AttentionGradients<float>& g, void* workspace,
                        bool /*ordered*/, cudaStream_t stream) {
  if (a.samples == 0 || a.queries == 0) return;
  const BackwardWorkspace w = backward_workspace(a, workspace, false, true);
  prepare<float, false>(a, g, w, stream);
  plain_attention_backward(a, g, w, stream);
}

template <>
void attention_backward(const Attention<bf16>& a, const AttentionGradients<bf16>& g, void* workspace,
                        bool ordered, cudaStream_t stream) {
  if (a.samples == 0 || a.queries == 0) return;
  const bool tiled = on_tensor_cores(a) && all_aligned(g);
  const BackwardWorkspace w = backward_workspace(a, workspace, tiled, ordered);
  if (!tiled) {
    prepare<bf16, false>(a, g, w, stream);
    return plain_attention_backward(a, g, w, stream);
  }
  prepare<bf16, true>(a, g, w, stream);
  const std::int64_t n = static_cast<std::int64_t>(a.samples) * a.queries * a.heads * a.head_dim;
  const std::int64_t tiles = static_cast<std::int64_t>(a.samples) * a.heads * (w.padded / kAddedQueries);
  fill(w.dq, 0.0F, n + tiles * kAddingWarps + 1,
       stream);  // and the counts that follow: their zeros are the same bits
  tiled_attention_backward(a, g, w, stream);
  launch(round_kernel, blocks_for(n / 8), kThreads, 0, stream, a, g.dq, w.dq, n / 8);
}

}  // namespace headwater::kernels
