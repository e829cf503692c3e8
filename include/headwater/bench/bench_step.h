#pragma once
// Times training steps on random tokens, and measures what the machine could do in the same minutes.
//
// Collective: every rank of the world calls it, on its compute thread, and gets the same figures.

#include "headwater/bench/prediction_check.h"
#include "headwater/comm/world.h"
#include "headwater/config/run_config.h"
#include "headwater/plan/simulate/timeline.h"
#include "headwater/run/run_settings.h"
#include "headwater/tensor/device_peak.h"

#include <optional>
#include <string>
#include <vector>

namespace headwater {

// The calls and seconds of one op in a step, the mean over the ranks.
struct OpSeconds {
  std::string name;
  double calls = 0.0;
  double seconds = 0.0;
  double floor_seconds = 0.0;  // backend/timed_backend.h
};

struct StepBenchmark {
  std::string device;          // "the CPU", "NVIDIA H100 80GB HBM3"
  int ranks = 1, threads = 1;  // threads of each rank
  std::string dtype;
  std::int64_t tokens = 0;             // of a step
  double elapsed_seconds = 0.0;        // of a step: median over the measured steps, of the slowest rank
  double tokens_per_second = 0.0;      // tokens / elapsed_seconds
  double model_flops_per_token = 0.0;  // nn/flops.h
  double achieved_flops = 0.0;         // model_flops_per_token × tokens_per_second
  // FLOP/s of a large square product on all ranks at once, added up: the median of three measurements,
  // before, between and after the steps.
  double matmul_flops = 0.0;
  double share_of_matmul = 0.0;    // achieved_flops / matmul_flops
  std::optional<DevicePeak> peak;  // of all GPUs together (run_setup.h)
  std::optional<double> mfu;       // achieved_flops / peak; none on the CPU, and where no peak is known
  double memory_bandwidth = 0.0;   // bytes per second, all ranks at once and added
  std::int64_t peak_bytes = 0;     // of the arena, on the rank with the most
  // By rank: the share of the measured steps in which it waited for other ranks, or for data on its way.
  std::vector<double> waiting_share;
  // Seconds of a step in which every op was timed by itself: the ops and everything between them.
  double observed_seconds = 0.0;
  std::vector<OpSeconds> ops;  // longest first
  // The step as it is predicted from parts, which are timed in turn with the steps; and the timelines of the
  // predicted step and of the last measured one. Only where can_predict().
  std::optional<PredictionCheck> prediction;
  std::vector<Timeline> timelines;
};

// Whether parts of a step can be timed. On GPUs they cannot: the host's clock tells when a part was launched,
// not how long it took.
bool can_predict(const RunSettings& settings);

// Makes a few steps to warm up, times `steps` steps, and then as many again with every op timed by itself.
// The config's data, learning rate and train_iters do not matter: tokens are random, one document per sample.
StepBenchmark bench_step(World& world, const RunConfig& run, int steps);

}  // namespace headwater
