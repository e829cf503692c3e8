#pragma once
// Each op of a training step by itself, at a model's shapes: its FLOPs and bytes, the time that no
// implementation can stay under, and the time that it takes here.

#include "headwater/comm/world.h"
#include "headwater/config/run_config.h"
#include "headwater/model/activation_spec.h"
#include "headwater/plan/cost/cluster.h"

#include <optional>
#include <string>
#include <vector>

namespace headwater {

struct DeviceSpeed {
  double matmul_flops = 0.0;      // FLOP/s
  double memory_bandwidth = 0.0;  // bytes per second
};

struct OpBenchmark {
  std::string op, what, shape;      // model_ops.h
  double flops = 0.0, bytes = 0.0;  // as timed_backend.h counts them
  double floor_seconds = 0.0;       // by OpsBenchmark::floor
  std::optional<double> seconds;    // of one call, median
};

struct OpsBenchmark {
  LayerSpec layer;              // as which all are taken
  std::int64_t vocabulary = 0;  // padded
  BatchShape batch;
  std::string dtype, device;  // "the CPU, 2 threads"
  DeviceSpeed floor;
  std::string floor_source;             // "measured in the same run", or the cluster's name
  std::optional<DeviceSpeed> measured;  // in the same run
  std::vector<OpBenchmark> ops;
};

// On this rank's device. Floors by the cluster's device, where one is given. `runs`: of which each time is
// the median.
OpsBenchmark bench_ops(World& world, const RunConfig& run, const std::optional<Cluster>& cluster, int runs);
// The floors alone, without a device; the config names a dtype.
OpsBenchmark op_floors(const RunConfig& run, const Cluster& cluster);

}  // namespace headwater
