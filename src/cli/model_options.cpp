#include "model_options.h"

#include "headwater/base/error.h"
#include "headwater/checkpoint/checkpoint.h"
#include "headwater/checkpoint/model_difference.h"

#include <nlohmann/json.hpp>

namespace headwater {

OpenedModel::OpenedModel(const Session& session, const std::string& model, const std::string& config_file)
    : weights(open_weights(model)) {
  const auto* checkpoint = dynamic_cast<const Checkpoint*>(weights.get());
  if (checkpoint != nullptr && config_file.empty()) {
    nlohmann::json run = to_json(checkpoint->manifest().header.config);
    run.erase("parallel");  // the layout is this command's own
    run.erase("model");     // as the weights say
    run["training"].erase("device");
    config = parse_config(run, checkpoint->description(), session.overrides);
  } else {
    config = load_config(config_file, session.overrides);
  }
  if (config.section_given("model"))
    if (const auto difference = model_difference(
            weights->model(), resolved(config.run.model, config.run.training.seq_length), Compare::weights))
      throw UserError("{} is of another model than the config: {}", weights->description(), *difference);
  config.run.model = weights->model();
  validate(config.run, false);
  DataConfig& data = config.run.data;
  if (data.eod < 0 && !data.tokenizer.empty()) data.eod = text_tokenizer().eod();
}

const Tokenizer& OpenedModel::text_tokenizer() {
  if (config.run.data.tokenizer.empty())
    throw UserError(
        "no tokenizer is known for {}: name one with --data.tokenizer=FILE, or give --prompt-tokens",
        weights->description());
  if (!tokenizer_) tokenizer_ = make_tokenizer(config.run.data.tokenizer);
  return *tokenizer_;
}

}  // namespace headwater
