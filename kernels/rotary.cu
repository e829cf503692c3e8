// Rotary position embedding, in place: a block a token, its threads over pairs of channels (x) and heads (y),
// so that a thread reads its angles once for all its heads.

#include "rows.cuh"

namespace headwater::kernels {
namespace {

template <class T, int kN>
__global__ void __launch_bounds__(256)
    rotary_kernel(Rows<T> x, const std::int32_t* position, Rows<const float> table, float sign,
                  std::int64_t heads, std::int64_t head_dim, std::int64_t pairs) {
  const std::int64_t row = blockIdx.x;
  const float* const angles = table.row(position[row]);
  for (std::int64_t pair = static_cast<std::int64_t>(threadIdx.x) * kN; pair < pairs;
       pair += blockDim.x * kN) {
    float angle[2 * kN];  // cos, sin, cos, sin, …
    if constexpr (kN == 1) {
      angle[0] = angles[2 * pair], angle[1] = angles[2 * pair + 1];
    } else {
      load<2 * kN>(angles + 2 * pair, angle);
    }
    for (std::int64_t head = threadIdx.y; head < heads; head += blockDim.y) {
      T* const low = x.row(row) + head * head_dim + pair;
      float a[kN], b[kN], turned_a[kN], turned_b[kN];
      load<kN>(low, a);
      load<kN>(low + pairs, b);
      for (int i = 0; i < kN; ++i) {
        const float cosine = angle[2 * i], sine = sign * angle[2 * i + 1];
        turned_a[i] = a[i] * cosine - b[i] * sine;
        turned_b[i] = b[i] * cosine + a[i] * sine;
      }
      store<kN>(low, turned_a);
      store<kN>(low + pairs, turned_b);
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
  const std::int64_t across = std::min<std::int64_t>(chunks, 64),
                     down = std::clamp<std::int64_t>(256 / across, 1, heads);
  launch(vectors ? rotary_kernel<T, kN> : rotary_kernel<T, 1>, static_cast<unsigned>(rows),
         dim3(static_cast<unsigned>(across), static_cast<unsigned>(down)), 0, stream, x, position, table,
         inverse ? -1.0F : 1.0F, heads, head_dim, pairs);
}

template void rotary(Rows<float>, const std::int32_t*, Rows<const float>, bool, std::int64_t, std::int64_t,
                     std::int64_t, std::int64_t, cudaStream_t);
template void rotary(Rows<bf16>, const std::int32_t*, Rows<const float>, bool, std::int64_t, std::int64_t,
                     std::int64_t, std::int64_t, cudaStream_t);

}  // namespace headwater::kernels
