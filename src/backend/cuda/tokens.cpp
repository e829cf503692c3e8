// What is looked up by token or position: the embedding and its gradient, RoPE.

#include "cuda_catalogue.h"
#include "operands.h"

namespace headwater::cuda {

void CudaBackend::embedding(TensorView tokens, TensorView table, std::int64_t first, TensorView out) {
  const std::int64_t rows = out.rows(), columns = out.columns();
  check_vector(tokens, DType::i32, rows, "tokens");
  check_matrix(table, out.dtype, table.rows(), columns, "table");
  with_compute_type(out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::embedding(data_of<const std::int32_t>(tokens), rows_of<const T>(table), first, table.rows(),
                       rows_of<T>(out), rows, columns, stream_.get());
  });
  launched("embedding");
}

void CudaBackend::embedding_backward(TensorView tokens, TensorView d_out, std::int64_t first,
                                     TensorView d_table) {
  const std::int64_t rows = d_out.rows(), columns = d_out.columns();
  check_vector(tokens, DType::i32, rows, "tokens");
  check_matrix(d_table, DType::f32, d_table.rows(), columns, "d_table");
  void* sorted = scratch(kernels::embedding_backward_bytes(rows));
  with_compute_type(d_out.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::embedding_backward(data_of<const std::int32_t>(tokens), rows_of<const T>(d_out), first,
                                d_table.rows(), rows_of<float>(d_table), sorted, rows, columns,
                                stream_.get());
  });
  launched("embedding_backward");
}

void CudaBackend::rotary(TensorView x, TensorView position, TensorView table, bool inverse) {
  HW_CHECK(x.shape.rank() == 3, "rotary on {}", to_string(x.shape));
  const std::int64_t rows = x.rows(), heads = x.shape[1], head_dim = x.shape[2], turned = table.columns();
  check_vector(position, DType::i32, rows, "position");
  check_matrix(table, DType::f32, table.rows(), turned, "table");
  HW_CHECK(turned % 2 == 0 && turned <= head_dim, "{} of {} channels turned", turned, head_dim);
  with_compute_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::rotary(rows_of<T>(x), data_of<const std::int32_t>(position), rows_of<const float>(table),
                    inverse, rows, heads, head_dim, turned / 2, stream_.get());
  });
  launched("rotary");
}

}  // namespace headwater::cuda
