#pragma once
// Measures each op of a training step by itself, at a model's shapes: its FLOPs and bytes, the time that no
// implementation can stay under, and the time that it takes here.

#include "headwater/comm/world.h"
#include "headwater/config/run_config.h"
#include "headwater/model/activation_spec.h"
#include "headwater/plan/cost/cluster.h"

#include <optional>
#include <string>
#include <vector>

namespace headwater {

// The peak of a device, stated or measured.
struct DeviceSpeed {
  double matmul_flops = 0.0;      // FLOP/s
  double memory_bandwidth = 0.0;  // bytes per second
};

struct OpBenchmark {
  std::string op, what, shape;      // model_ops.h
  double calls = 0.0;               // per micro-batch; of the update: per step
  double flops = 0.0, bytes = 0.0;  // as timed_backend.h counts them
  double floor_seconds = 0.0;       // at the speed OpsBenchmark::floor
  std::optional<double> seconds;    // of one call, the median; nothing where none was made
};

struct OpsBenchmark {
  LayerSpec layer;              // the layer whose ops these are
  std::int64_t vocabulary = 0;  // padded
  BatchShape batch;
  std::string dtype, device;  // "the CPU, 2 threads"
  DeviceSpeed floor;
  std::string floor_source;             // "measured in the same run", or the cluster's name
  std::optional<DeviceSpeed> measured;  // in the same run
  std::vector<OpBenchmark> ops;
};

// Times every op on this rank's device; each time is the median of `runs` measurements. Floors are computed
// from `cluster` where it is given, else from speeds that are measured in the same run.
OpsBenchmark bench_ops(World& world, const RunConfig& run, const std::optional<Cluster>& cluster, int runs);
// Computes the floors alone, without a device. training.dtype must not be "auto".
OpsBenchmark op_floors(const RunConfig& run, const Cluster& cluster);

}  // namespace headwater
