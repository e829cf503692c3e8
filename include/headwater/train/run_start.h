#pragma once
// Where a run starts: at the newest checkpoint of its save folder, at that of `training.load`, from the
// weights of `training.init_from`, or afresh. Model, config and settings follow from that.

#include "headwater/checkpoint/checkpoint.h"
#include "headwater/config/load_config.h"
#include "headwater/train/run_setup.h"

#include <memory>
#include <optional>

namespace headwater {

class Communicator;

struct RunStart {
  RunConfig run;         // validated; model, parallel, global batch and end of document resolved
  RunSettings settings;  // a resume takes dtype and threads from its checkpoint
  Counters counters;
  std::unique_ptr<Checkpoint> checkpoint;         // from which this run goes on; null: none
  std::unique_ptr<WeightSource> initial_weights;  // of `init_from`; null: none, or there is a checkpoint
};

// `newest` is the newest checkpoint of `training.save`, as rank 0 found it; the others learn of it over
// `ranks`. UserError where config, checkpoint and weights do not go together.
RunStart find_start(const LoadedConfig& config, const std::optional<Path>& newest, Communicator& ranks,
                    World& world);

// Returns a warning where matrix products were made with one version of cuBLASLt when the checkpoint was
// written and are made with another now. Version 0 means no such library.
std::optional<std::string> other_library(std::int64_t then, std::int64_t now);

}  // namespace headwater
