// Token embedding over a shard of the vocabulary.

#include "checks.h"
#include "cpu_catalogue.h"
#include "parallel.h"

namespace headwater::cpu {

void CpuBackend::compute(const op::Embedding& embedding) {
  const TensorView &table = embedding.table, &out = embedding.out;
  const std::int64_t rows = out.rows(), columns = out.columns(), first = embedding.first;
  const std::int32_t* ids = embedding.tokens.as<std::int32_t>();
  with_compute_type(out.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, rows, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = begin; t < end; ++t) {
        const std::int64_t row = ids[t] - first;
        if (row >= 0 && row < table.rows())
          std::copy_n(row_of<T>(table, row), columns, row_of<T>(out, t));
        else
          std::fill_n(row_of<T>(out, t), columns, T(0.0F));
      }
    });
  });
}

// Each thread takes a range of columns of all tokens, so that every sum runs in the order of t.
void CpuBackend::compute(const op::EmbeddingBackward& backward) {
  const TensorView &d_out = backward.d_out, &d_table = backward.d_table;
  const std::int64_t rows = d_out.rows(), columns = d_out.columns(), first = backward.first;
  const std::int32_t* ids = backward.tokens.as<std::int32_t>();
  with_compute_type(d_out.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_parts(threads_, columns, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t t = 0; t < rows; ++t) {
        const std::int64_t row = ids[t] - first;
        if (row < 0 || row >= d_table.rows()) continue;
        const T* from = row_of<T>(d_out, t);
        float* to = row_of<float>(d_table, row);
        for (std::int64_t i = begin; i < end; ++i) to[i] += static_cast<float>(from[i]);
      }
    });
  });
}

}  // namespace headwater::cpu
