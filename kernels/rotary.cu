// Rotary position embedding, in place: a block a token, its threads over pairs of channels (x) and heads (y).
// A thread asks for kHeads heads at a time, and reads its angles once for them.

#include "rows.cuh"

namespace headwater::kernels {
namespace {

constexpr int kHeads = 4;

template <class T, int kN>
__global__ void __launch_bounds__(256, 2)
    rotary_kernel(Rows<T> x, const std::int32_t* position, Rows<const float> table, float sign,
                  unsigned heads, unsigned head_dim, unsigned pairs) {
  const std::int64_t row = blockIdx.x;
  const std::int32_t place = position[row];
  const unsigned further = blockDim.y * head_dim;
  for (unsigned pair = threadIdx.x * kN; pair < pairs; pair += blockDim.x * kN) {
    for (unsigned first = threadIdx.y; first < heads; first += kHeads * blockDim.y) {
      T* const low = x.row(row) + first * head_dim + pair;
      Chunk<T, kN> of_a[kHeads], of_b[kHeads];
#pragma unroll
      for (int i = 0; i < kHeads; ++i) {
        if (first + i * blockDim.y >= heads) break;
        of_a[i] = Chunk<T, kN>::load(low + i * further);
        of_b[i] = Chunk<T, kN>::load(low + i * further + pairs);
      }
      float angle[2 * kN];  // cos, sin, cos, sin, …
      const float* const angles = table.row(place) + 2 * pair;
      if constexpr (kN == 1) {
        angle[0] = angles[0], angle[1] = angles[1];
      } else {
        load<2 * kN>(angles, angle);
      }
#pragma unroll
      for (int i = 0; i < kHeads; ++i) {
        if (first + i * blockDim.y >= heads) break;
        float a[kN], b[kN], turned_a[kN], turned_b[kN];
        of_a[i].unpack(a), of_b[i].unpack(b);
        for (int k = 0; k < kN; ++k) {
          const float cosine = angle[2 * k], sine = sign * angle[2 * k + 1];
          turned_a[k] = a[k] * cosine - b[k] * sine;
          turned_b[k] = b[k] * cosine + a[k] * sine;
        }
        store<kN>(low + i * further, turned_a);
        store<kN>(low + i * further + pairs, turned_b);
      }
    }
  }
}

}  // namespace

template <class T>
void rotary(Rows<T> x, const std::int32_t* position, Rows<const float> table, bool inverse, std::int64_t rows,
            std::int64_t heads, std::int64_t head_dim, std::int64_t pairs, cudaStream_t stream) {
  if (rows == 0 || heads == 0 || pairs == 0) return;
  constexpr int kN = kVector<T>;
  const bool vectors = pairs % kN == 0 && head_dim % kN == 0 && aligned(x, 16) && aligned(table, 16);
  const std::int64_t chunks = (pairs + (vectors ? kN : 1) - 1) / (vectors ? kN : 1);
  const std::int64_t across = std::min<std::int64_t>(chunks, 64);
  // Threads for kHeads heads each, but a warp at least, where there are so many heads.
  const std::int64_t wanted = std::max((heads + kHeads - 1) / kHeads, kWarp / across);
  const std::int64_t down = std::clamp<std::int64_t>(wanted, 1, std::min(heads, 256 / across));
  launch(vectors ? rotary_kernel<T, kN> : rotary_kernel<T, 1>, static_cast<unsigned>(rows),
         dim3(static_cast<unsigned>(across), static_cast<unsigned>(down)), 0, stream, x, position, table,
         inverse ? -1.0F : 1.0F, static_cast<unsigned>(heads), static_cast<unsigned>(head_dim),
         static_cast<unsigned>(pairs));
}

template void rotary(Rows<float>, const std::int32_t*, Rows<const float>, bool, std::int64_t, std::int64_t,
                     std::int64_t, std::int64_t, cudaStream_t);
template void rotary(Rows<bf16>, const std::int32_t*, Rows<const float>, bool, std::int64_t, std::int64_t,
                     std::int64_t, std::int64_t, cudaStream_t);

}  // namespace headwater::kernels
