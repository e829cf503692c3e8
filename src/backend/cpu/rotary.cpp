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

void CpuBackend::rotary(TensorView x, TensorView position, TensorView table, bool inverse) {
  HW_CHECK(x.shape.rank() == 3, "rotary on {}", to_string(x.shape));
  const std::int64_t rows = x.rows(), heads = x.shape[1], head_dim = x.shape[2], turned = table.columns();
  check_vector(position, DType::i32, rows, "position");
  check_matrix(table, DType::f32, table.rows(), turned, "table");
  HW_CHECK(turned % 2 == 0 && turned <= head_dim, "{} of {} channels turned", turned, head_dim);
  const std::int32_t* positions = position.as<std::int32_t>();
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t)
        for (std::int64_t head = 0; head < heads; ++head)
          rotate_head(row_of<T>(x, t) + head * head_dim, row_of<const float>(table, positions[t]), turned / 2,
                      inverse ? -1.0F : 1.0F);
    });
  });
}

}  // namespace headwater::cpu
