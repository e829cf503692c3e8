#pragma once
// What `eval`, `generate`, `logits` and `gradients` share: a model that lies somewhere, and the config that goes with it.

#include "headwater/checkpoint/weight_source.h"
#include "headwater/cli/commands.h"
#include "headwater/config/load_config.h"
#include "headwater/data/batch.h"
#include "headwater/data/tokenizer.h"
#include "headwater/train/run_setup.h"

#include <memory>
#include <string>

namespace headwater {

// Where `model` is a checkpoint, its run's config is what the command line overrides.
struct OpenedModel {
  OpenedModel(const Session& session, const std::string& model, const std::string& config_file);

  std::unique_ptr<WeightSource> weights;
  LoadedConfig config;
  std::unique_ptr<Tokenizer> tokenizer;  // null where data.tokenizer is not set
  DocumentOptions documents() const;
  // data.tokenizer, for a command that needs text.
  const Tokenizer& text_tokenizer() const;
};

}  // namespace headwater
