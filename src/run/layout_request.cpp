#include "headwater/run/layout_request.h"

#include "headwater/nn/model_units.h"
#include "headwater/run/freeze.h"
#include "headwater/run/global_batch.h"
#include "headwater/run/sharding_of.h"

namespace headwater {

RankLayoutRequest training_request(const RunConfig& run, const RunSettings& settings, int ranks) {
  const std::int64_t per_round = run.training.micro_batch_size * data_parallel_size(run.parallel, ranks);
  const BatchRamp ramp = batch_ramp(run, ranks);
  RankLayoutRequest request =
      forward_request(run, settings, {run.training.micro_batch_size, run.training.seq_length},
                      static_cast<int>(ramp.full() / per_round), true);
  for (const std::int64_t batch : ramp.smaller()) request.ramp.push_back(static_cast<int>(batch / per_round));
  return request;
}

RankLayoutRequest forward_request(const RunConfig& run, const RunSettings& settings, BatchShape batch,
                                  int micro_batches, bool training) {
  RankLayoutRequest request;
  request.model = training ? model_to_train(run.model, run.training.freeze) : expand(run.model);
  request.parallel = run.parallel;
  request.batch = batch;
  request.micro_batches = micro_batches;
  request.precision = precision_of(settings.dtype);
  request.training = training;
  request.threads = settings.threads;
  request.device = settings.device.kind;
  request.parallel.lfa_sharding = resolved_lfa_sharding(request);
  return request;
}

ProcessGrid process_grid(const RankLayoutRequest& request, int ranks) {
  const Sharding sharding = sharding_of(request.model, request.parallel, request.batch);
  return ProcessGrid::make(ranks, static_cast<int>(request.parallel.tensor_model_parallel_size), 1,
                           static_cast<int>(request.parallel.pipeline_model_parallel_size),
                           static_cast<int>(kv_repeat(request.model, sharding)));
}

}  // namespace headwater
