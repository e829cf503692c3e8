#pragma once
// The arithmetic of scaling: which runs are to be measured, and what their speeds say of each other. It knows
// neither processes nor printing.
//
// Strong scaling keeps the global batch, weak scaling keeps the samples of each rank. The baseline of a kind
// is the fastest of its runs with the fewest ranks, and
//   efficiency = (tokens/s / ranks) / (baseline's tokens/s / baseline's ranks).

#include "headwater/config/run_config.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {

enum class ScalingKind : std::uint8_t { weak, strong };
std::string_view name_of(ScalingKind kind);

struct ScalingLayout {
  std::string words;  // as given: "key=value key=value" of the parallel section
  ParallelConfig parallel;
};

// A run that is to be measured. Strong and weak scaling may ask for the same one; it is measured once.
struct ScalingRun {
  int ranks = 1;
  int layout = 0;  // its place in the list
  std::int64_t global_batch = 0;
  auto operator<=>(const ScalingRun&) const = default;
};

struct ScalingCase {
  ScalingKind kind;
  ScalingRun run;
};

struct ScalingRequest {
  std::vector<int> ranks;  // rising
  std::vector<ScalingLayout> layouts;
  std::vector<ScalingKind> kinds;
  std::int64_t smallest_batch = 1;  // the global batch of the fewest ranks
};

struct ScalingCases {
  std::vector<ScalingCase> cases;
  std::vector<std::string> left_out;  // why, of each number of ranks that a layout cannot have
};

// UserError where a batch does not come out whole, or where nothing is left to measure.
ScalingCases scaling_cases(const ScalingRequest& request);

std::string ranks_text(int ranks);  // "1 rank", "2 ranks"
// "tensor 2, pipeline 2 [3,1], data 2"
std::string describe(const ParallelConfig& parallel, int ranks);

// The figures that `bench step` reports of a run.
struct RunSpeed {
  double tokens_per_second = 0.0, elapsed_ms = 0.0;
  int threads = 1;                    // of each rank
  std::vector<double> waiting_share;  // by rank
};

struct ScalingRow {
  ScalingKind kind;
  ScalingRun run;
  RunSpeed speed;
  int baseline_ranks = 1;
  double efficiency = 1.0;
};

// Returns the rows of the cases whose run was measured, in their order.
std::vector<ScalingRow> scaling_rows(const std::vector<ScalingCase>& cases,
                                     const std::map<ScalingRun, RunSpeed>& measured);

}  // namespace headwater
