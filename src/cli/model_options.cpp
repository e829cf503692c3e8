#include "model_options.h"

#include "headwater/base/error.h"
#include "headwater/checkpoint/checkpoint.h"

#include <nlohmann/json.hpp>

namespace headwater {

OpenedModel::OpenedModel(const Session& session, const std::string& model, const std::string& config_file)
    : weights(open_weights(model)) {
  const auto* checkpoint = dynamic_cast<const Checkpoint*>(weights.get());
  if (checkpoint != nullptr && config_file.empty()) {
    nlohmann::json run = to_json(checkpoint->manifest().header.config);
    run.erase("parallel");  // the layout is this command's own
    run.erase("model");     // as the weights say
    config = parse_config(run, checkpoint->description(), session.overrides);
  } else {
    config = load_config(config_file, session.overrides);
  }
  if (config.section_given("model")) throw UserError("the model is that of {}: leave out the model section", model);
  config.run.model = weights->model();
  config.run.training.device = "cpu";
  validate(config.run, false);
  if (!config.run.data.tokenizer.empty()) tokenizer = make_tokenizer(config.run.data.tokenizer);
}

DocumentOptions OpenedModel::documents() const {
  const DataConfig& data = config.run.data;
  const std::int64_t eod = data.eod < 0 && tokenizer ? tokenizer->eod() : data.eod;
  return {eod, data.reset_position_ids, data.reset_attention_mask, data.reset_lfa, data.eod_mask_loss};
}

const Tokenizer& OpenedModel::text_tokenizer() const {
  if (!tokenizer)
    throw UserError("no tokenizer is known for {}: name one with --data.tokenizer=FILE, or give --prompt-tokens",
                    weights->description());
  return *tokenizer;
}

}  // namespace headwater
