#pragma once
// From a config and a number of ranks to what a RankLayout is asked for: the rules that need the rank count.
// Every refusal is a UserError, thrown alike on every rank before anything is allocated.

#include "headwater/layout/process_grid.h"
#include "headwater/run/run_settings.h"

#include <vector>

namespace headwater {

struct RankLayoutRequest {
  ModelSpec model;
  ParallelConfig parallel;
  BatchShape batch;       // one micro-batch
  int micro_batches = 1;  // of a full step, per replica
  std::vector<int> ramp;  // micro-batches of each smaller step while the batch grows, ascending
  Precision precision;
  bool training = true;  // false: forwards only, without gradients
  int threads = 1;
  Device::Kind device = Device::Kind::cpu;
};

// Both take `parallel.pipeline_layout` as it is: where that is "auto", plan/search/auto_layout.h has to
// resolve it before the request can be laid out. `parallel.lfa_sharding` is resolved here.

// The request of a training run. The model section of `run` must be resolved.
RankLayoutRequest training_request(const RunConfig& run, const RunSettings& settings, int ranks);

// The request of `micro_batches` forwards of shape `batch` on each replica, and with `training` of their
// backwards too.
RankLayoutRequest forward_request(const RunConfig& run, const RunSettings& settings, BatchShape batch,
                                  int micro_batches, bool training = false);

// Where each of `ranks` ranks stands. UserError where they cannot be shared out so.
ProcessGrid process_grid(const RankLayoutRequest& request, int ranks);

}  // namespace headwater
