#include "headwater/train/run_start.h"

#include "headwater/base/log.h"
#include "headwater/checkpoint/model_difference.h"
#include "headwater/comm/communicator.h"
#include "headwater/config/config_changes.h"

namespace headwater {
namespace {

// Rank 0's text, on every rank.
std::string shared(Communicator& ranks, const std::string& text) {
  const std::span<const std::byte> own = std::as_bytes(std::span(text));
  std::vector<std::byte> bytes(own.begin(), own.end());
  broadcast_bytes(ranks, bytes, 0);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The checkpoint to go on from, or "".
std::string find_resume(const TrainingConfig& training, const std::optional<Path>& newest) {
  if (newest) return newest->string();
  return training.load.empty() ? "" : find_checkpoint(training.load).string();
}

// The model of `source` where the config has none, else the config's, which must be the same.
ModelConfig agreed_model(const LoadedConfig& config, const WeightSource* source, Compare what) {
  if (source != nullptr && !config.section_given("model")) return source->model();
  validate_model(config.run.model);  // as it was given: what is left out is about to be filled in
  const ModelConfig asked = resolved(config.run.model, config.run.training.seq_length);
  if (source != nullptr)
    if (const auto difference = model_difference(source->model(), asked, what))
      throw UserError("{} is of another model: {}", source->description(), *difference);
  return asked;
}

}  // namespace

RunStart find_start(const LoadedConfig& config, const std::optional<Path>& newest, Communicator& ranks, const World& world) {
  const TrainingConfig& training = config.run.training;
  RunStart start;
  start.run = config.run;
  start.choices = choose(training, world);
  const std::string resume = shared(ranks, ranks.rank() == 0 ? find_resume(training, newest) : "");
  if (!resume.empty()) {
    start.checkpoint = std::make_unique<Checkpoint>(resume);
    const SaveHeader& header = start.checkpoint->manifest().header;
    if (training.dtype == "auto") start.choices.dtype = header.dtype;
    start.choices.threads = static_cast<int>(header.threads);
    start.counters = header.counters;
    start.run.model = agreed_model(config, start.checkpoint.get(), Compare::all);
  } else {
    if (!training.init_from.empty()) start.initial_weights = open_weights(training.init_from);
    start.run.model = agreed_model(config, start.initial_weights.get(), Compare::weights);
  }
  validate(start.run);
  if (start.checkpoint) {
    log::info("resuming from {} after step {}", start.checkpoint->description(), start.counters.step);
    for (const std::string& change : config_changes(start.checkpoint->manifest().header.config, start.run))
      log::info("changed since the checkpoint: {}", change);
  }
  return start;
}

}  // namespace headwater
