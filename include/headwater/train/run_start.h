#pragma once
// Where a run starts: at a checkpoint of its save folder, at the one of `training.load`, from the weights of
// `training.init_from`, or afresh; and the model, the config and the settings that follow from that.

#include "headwater/checkpoint/checkpoint.h"
#include "headwater/config/load_config.h"
#include "headwater/train/run_setup.h"

#include <memory>
#include <optional>

namespace headwater {

class Communicator;

struct RunStart {
  RunConfig run;         // validated; model, chunks, global batch and end of document resolved
  RunSettings settings;  // a resume goes on with its checkpoint's
  Counters counters;
  std::unique_ptr<Checkpoint> checkpoint;         // that this run goes on from
  std::unique_ptr<WeightSource> initial_weights;  // of `init_from`, where there is no checkpoint
};

// `newest` is the newest checkpoint of `training.save`, as rank 0 found it; the others learn of it over
// `ranks`. UserError where config, checkpoint and weights do not go together.
RunStart find_start(const LoadedConfig& config, const std::optional<Path>& newest, Communicator& ranks,
                    World& world);

// What is to be said where products were made with one version of a library and now are with another (0: by
// no such library).
std::optional<std::string> other_library(std::int64_t then, std::int64_t now);

}  // namespace headwater
