#pragma once
// The model that `eval`, `generate`, `logits` and `gradients` open, and the config that goes with it.

#include "headwater/checkpoint/weight_source.h"
#include "headwater/config/load_config.h"
#include "headwater/data/tokenizer.h"
#include "headwater/train/data_streams.h"
#include "headwater/train/run_setup.h"

#include "commands.h"

#include <memory>
#include <string>

namespace headwater {

// Where `model` is a checkpoint and no config is given, the config is that of the checkpoint's run, with the
// command line's overrides. A config's model section must be that of the weights.
class OpenedModel {
 public:
  OpenedModel(const Session& session, const std::string& model, const std::string& config_file);

  // The tokenizer of data.tokenizer. It is made when it is first needed, because a checkpoint can be used on
  // machines that do not have its tokenizer.
  const Tokenizer& text_tokenizer();

  std::unique_ptr<WeightSource> weights;
  LoadedConfig config;  // validated; the end of document resolved

 private:
  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace headwater
