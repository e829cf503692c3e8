#pragma once
// What `eval`, `generate`, `logits` and `gradients` share: a model that lies somewhere, and the config that
// goes with it.

#include "headwater/checkpoint/weight_source.h"
#include "headwater/config/load_config.h"
#include "headwater/data/tokenizer.h"
#include "headwater/train/data_streams.h"
#include "headwater/train/run_setup.h"

#include "commands.h"

#include <memory>
#include <string>

namespace headwater {

// Where `model` is a checkpoint and no config is given, its run's config is what the command line overrides.
// A config's model section must be that of the weights.
class OpenedModel {
 public:
  OpenedModel(const Session& session, const std::string& model, const std::string& config_file);

  // That of data.tokenizer, made when it is first needed: a checkpoint can be used where its tokenizer is
  // not.
  const Tokenizer& text_tokenizer();

  std::unique_ptr<WeightSource> weights;
  LoadedConfig config;  // validated; the end of document resolved

 private:
  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace headwater
