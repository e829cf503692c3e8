// Rotary position embedding.

#include "checks.h"
#include "cpu_catalogue.h"
#include "parallel.h"

namespace headwater::cpu {
namespace {

// sign: 1 turns forward, −1 back.
template <class T>
void rotate_head(T* x, const float* table, std::int64_t pairs, float sign) {
  for (std::int64_t i = 0; i < pairs; ++i) {
    const float cosine = table[2 * i], sine = sign * table[2 * i + 1];
    const float a = static_cast<float>(x[i]), b = static_cast<float>(x[i + pairs]);
    x[i] = static_cast<T>(a * cosine - b * sine);
    x[i + pairs] = static_cast<T>(b * cosine + a * sine);
  }
}

}  // namespace

void CpuBackend::compute(const op::Rotary& rotary) {
  const TensorView& x = rotary.x;
  const std::int64_t rows = x.rows(), heads = x.shape[1], head_dim = x.shape[2];
  const std::int64_t pairs = rotary.table.columns() / 2;
  const float sign = rotary.inverse ? -1.0F : 1.0F;
  const std::int32_t* positions = rotary.position.as<std::int32_t>();
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t)
        for (std::int64_t head = 0; head < heads; ++head)
          rotate_head(row_of<T>(x, t) + head * head_dim, row_of<const float>(rotary.table, positions[t]),
                      pairs, sign);
    });
  });
}

}  // namespace headwater::cpu
