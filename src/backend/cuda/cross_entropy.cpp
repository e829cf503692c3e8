// Cross-entropy over a shard of the vocabulary.

#include "cuda_catalogue.h"
#include "scalars.h"

namespace headwater::cuda {

void CudaBackend::softmax_statistics(TensorView logits, TensorView labels, std::int64_t first,
                                     std::int64_t valid, TensorView statistics) {
  const std::int64_t rows = logits.rows();
  check_vector(labels, DType::i32, rows, "labels");
  check_matrix(statistics, DType::f32, rows, 3, "statistics");
  HW_CHECK(statistics.dense(), "statistics with row stride {}", statistics.row_stride);
  HW_CHECK(valid >= 0 && valid <= logits.columns(), "{} valid columns of {}", valid, logits.columns());
  with_compute_type(logits.dtype, [&](auto type) {
    kernels::softmax_statistics(rows_of<const decltype(type)>(logits), data_of<const std::int32_t>(labels),
                                first, valid, data_of<float>(statistics), rows, stream_.get());
  });
  launched("softmax_statistics");
}

void CudaBackend::combine_statistics(TensorView shards, TensorView statistics) {
  const std::int64_t rows = statistics.rows(), count = rows > 0 ? shards.rows() / rows : 0;
  check_matrix(statistics, DType::f32, rows, 3, "statistics");
  check_matrix(shards, DType::f32, count * rows, 3, "shards");
  HW_CHECK(shards.dense() && statistics.dense(), "statistics with row strides {} and {}", shards.row_stride,
           statistics.row_stride);
  kernels::combine_statistics(data_of<const float>(shards), count, data_of<float>(statistics), rows,
                              stream_.get());
  launched("combine_statistics");
}

void CudaBackend::cross_entropy_backward(TensorView logits, TensorView labels, std::int64_t first,
                                         std::int64_t valid, TensorView statistics, TensorView scalars) {
  cross_entropy_loss(labels, statistics, scalars);
  const std::int64_t rows = logits.rows(), columns = logits.columns();
  check_vector(labels, DType::i32, rows, "labels");
  HW_CHECK(valid >= 0 && valid <= columns, "{} valid columns of {}", valid, columns);
  const kernels::StepScalars s = step_scalars(scalars);
  with_compute_type(logits.dtype, [&](auto type) {
    kernels::cross_entropy_backward(rows_of<decltype(type)>(logits), data_of<const std::int32_t>(labels),
                                    first, valid, data_of<const float>(statistics), s.targets, rows, columns,
                                    stream_.get());
  });
  launched("cross_entropy_backward");
}

void CudaBackend::cross_entropy_loss(TensorView labels, TensorView statistics, TensorView scalars) {
  const std::int64_t rows = labels.elements();
  check_vector(labels, DType::i32, rows, "labels");
  check_matrix(statistics, DType::f32, rows, 3, "statistics");
  HW_CHECK(statistics.dense(), "statistics with row stride {}", statistics.row_stride);
  kernels::cross_entropy_loss(data_of<const std::int32_t>(labels), data_of<const float>(statistics),
                              step_scalars(scalars).loss_sum, rows, stream_.get());
  launched("cross_entropy_loss");
}

}  // namespace headwater::cuda
