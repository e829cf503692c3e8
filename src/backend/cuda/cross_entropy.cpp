// Cross-entropy over a shard of the vocabulary.

#include "cuda_catalogue.h"
#include "scalars.h"

namespace headwater::cuda {

void CudaBackend::enqueue(const op::SoftmaxStatistics& o) {
  check_f32(o.statistics, "statistics");
  with_compute_type(o.logits.dtype, [&](auto type) {
    kernels::softmax_statistics(rows_of<const decltype(type)>(o.logits),
                                data_of<const std::int32_t>(o.labels), o.first, o.valid,
                                data_of<float>(o.statistics), o.logits.rows(), stream_.get());
  });
}

void CudaBackend::enqueue(const op::CombineStatistics& o) {
  check_f32(o.shards, "shards");
  check_f32(o.statistics, "statistics");
  const std::int64_t rows = o.statistics.rows(), count = rows > 0 ? o.shards.rows() / rows : 0;
  kernels::combine_statistics(data_of<const float>(o.shards), count, data_of<float>(o.statistics), rows,
                              stream_.get());
}

void CudaBackend::enqueue(const op::CrossEntropyLoss& o) {
  check_f32(o.statistics, "statistics");
  kernels::cross_entropy_loss(data_of<const std::int32_t>(o.labels), data_of<const float>(o.statistics),
                              step_scalars(o.scalars).loss_sum, o.labels.elements(), stream_.get());
}

void CudaBackend::enqueue(const op::CrossEntropyBackward& o) {
  enqueue(o.loss());
  with_compute_type(o.logits.dtype, [&](auto type) {
    kernels::cross_entropy_backward(rows_of<decltype(type)>(o.logits), data_of<const std::int32_t>(o.labels),
                                    o.first, o.valid, data_of<const float>(o.statistics),
                                    step_scalars(o.scalars).targets, o.logits.rows(), o.logits.columns(),
                                    stream_.get());
  });
}

}  // namespace headwater::cuda
