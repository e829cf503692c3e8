// Ops that look rows up by token or position: the embedding and its gradient, RoPE.

#include "cuda_catalogue.h"
#include "operands.h"

namespace headwater::cuda {

void CudaBackend::enqueue(const op::Embedding& o) {
  with_compute_type(o.out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::embedding(data_of<const std::int32_t>(o.tokens), rows_of<const T>(o.table), o.first,
                       o.table.rows(), rows_of<T>(o.out), o.out.rows(), o.out.columns(), stream_.get());
  });
}

void CudaBackend::enqueue(const op::EmbeddingBackward& o) {
  const std::int64_t rows = o.d_out.rows();
  void* sorted = scratch(kernels::embedding_backward_bytes(rows));
  with_compute_type(o.d_out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::embedding_backward(data_of<const std::int32_t>(o.tokens), rows_of<const T>(o.d_out), o.first,
                                o.d_table.rows(), rows_of<float>(o.d_table), sorted, rows, o.d_out.columns(),
                                stream_.get());
  });
}

void CudaBackend::enqueue(const op::Rotary& o) {
  with_compute_type(o.x.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::rotary(rows_of<T>(o.x), data_of<const std::int32_t>(o.position), rows_of<const float>(o.table),
                    o.inverse, o.x.rows(), o.x.shape[1], o.x.shape[2], o.table.columns() / 2, stream_.get());
  });
}

}  // namespace headwater::cuda
