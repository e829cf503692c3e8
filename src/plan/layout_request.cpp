#include "headwater/plan/layout_request.h"

#include "headwater/base/error.h"
#include "headwater/base/nearest.h"
#include "headwater/layout/process_grid.h"
#include "headwater/plan/auto_layout.h"
#include "headwater/plan/batch_ramp.h"

namespace headwater {

Choices choices_on(const Cluster& cluster, const std::string& dtype, int threads) {
  return {.dtype = dtype, .threads = threads, .device = {cluster.device.kind, 0}};
}

Precision precision_of(const std::string& dtype) {
  return dtype == "bf16" ? Precision{DType::bf16, DType::f32} : Precision{DType::f32, DType::f32};
}

std::int64_t data_parallel_size(const ParallelConfig& parallel, int ranks) {
  return ProcessGrid::make(ranks, static_cast<int>(parallel.tensor_model_parallel_size), 1,
                           static_cast<int>(parallel.pipeline_model_parallel_size))
      .size(Axis::data);
}

std::int64_t global_batch_size(const RunConfig& run, int ranks) {
  const std::int64_t data = data_parallel_size(run.parallel, ranks);
  const std::int64_t micro = run.training.micro_batch_size, per_round = micro * data;
  if (run.training.global_batch_size == 0) return per_round;
  if (run.training.global_batch_size % per_round != 0)
    throw UserError(
        "training.global_batch_size is {}: it must be a multiple of training.micro_batch_size {} x "
        "data-parallel size {} = {}, "
        "such as {}",
        run.training.global_batch_size, micro, data, per_round,
        nearest_multiple(run.training.global_batch_size, per_round));
  return run.training.global_batch_size;
}

RankLayoutRequest training_request(const RunConfig& run, const Choices& choices, int ranks) {
  const std::int64_t per_round = run.training.micro_batch_size * data_parallel_size(run.parallel, ranks);
  const BatchRamp ramp = batch_ramp(run, ranks);
  RankLayoutRequest request =
      forward_request(run, choices, {run.training.micro_batch_size, run.training.seq_length},
                      static_cast<int>(ramp.full() / per_round), true);
  request.parallel.pipeline_layout = resolved_pipeline_layout(request, choices.dtype, ranks);
  for (const std::int64_t batch : ramp.smaller()) request.ramp.push_back(static_cast<int>(batch / per_round));
  return request;
}

RankLayoutRequest forward_request(const RunConfig& run, const Choices& choices, BatchShape batch,
                                  int micro_batches, bool training) {
  RankLayoutRequest request;
  request.model = expand(run.model);
  request.parallel = run.parallel;
  request.batch = batch;
  request.micro_batches = micro_batches;
  request.precision = precision_of(choices.dtype);
  request.training = training;
  request.threads = choices.threads;
  request.device = choices.device.kind;
  request.parallel.lfa_sharding = resolved_lfa_sharding(request);
  // For one replica; training_request() knows the others.
  const ParallelConfig& parallel = request.parallel;
  if (!training)
    request.parallel.pipeline_layout = resolved_pipeline_layout(
        request, choices.dtype,
        static_cast<int>(parallel.tensor_model_parallel_size * parallel.pipeline_model_parallel_size));
  return request;
}

}  // namespace headwater
