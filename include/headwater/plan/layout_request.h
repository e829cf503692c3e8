#pragma once
// From a config and a number of ranks to what a RankLayout is asked for: the rules that need the rank count.
// All refusals are UserErrors, thrown alike on every rank before anything is allocated.

#include "headwater/config/run_config.h"
#include "headwater/plan/cluster.h"
#include "headwater/plan/rank_layout.h"
#include "headwater/tensor/device.h"

#include <string>

namespace headwater {

// What `auto` chose, recorded with a checkpoint and used again by a resume; and what else of the training
// section a backend is made by.
struct Choices {
  std::string dtype;   // "fp32", "bf16"
  int threads = 1;     // per rank
  Device device = {};  // of this rank; of one kind on all
  bool deterministic = true;
  bool graphs = false;
  std::string matmul_algorithms = {};
};

// Those of a run on machines that need not be here.
Choices choices_on(const Cluster& cluster, const std::string& dtype, int threads);

Precision precision_of(const std::string& dtype);

// The model section is resolved. Global batch: 0 means one micro-batch per replica.
RankLayoutRequest training_request(const RunConfig& run, const Choices& choices, int ranks);
// One forward of `batch` samples of `sequence` tokens per replica, without gradients unless `training`.
RankLayoutRequest forward_request(const RunConfig& run, const Choices& choices, BatchShape batch,
                                  int micro_batches, bool training = false);

std::int64_t data_parallel_size(const ParallelConfig& parallel, int ranks);
std::int64_t global_batch_size(const RunConfig& run, int ranks);

}  // namespace headwater
