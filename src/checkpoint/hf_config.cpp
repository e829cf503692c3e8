// Turns config.json of a Hugging Face folder into a ModelConfig.

#include "headwater/base/error.h"
#include "headwater/config/json_text.h"
#include "headwater/config/load_config.h"

#include "hf_folder.h"
#include "json_reading.h"

#include <nlohmann/json.hpp>

namespace headwater {
namespace {

using nlohmann::json;

class HfConfig {
 public:
  HfConfig(const json& values, std::string file) : values_(values), file_(std::move(file)) {}

  bool has(const std::string& key) const { return values_.contains(key) && !values_.at(key).is_null(); }
  std::string where(const std::string& key) const { return key + " in " + file_; }
  std::int64_t number(const std::string& key) const {
    return whole_number(member(values_, key, file_), where(key));
  }
  std::int64_t number(const std::string& key, std::int64_t otherwise) const {
    return has(key) ? number(key) : otherwise;
  }
  double real(const std::string& key, double otherwise) const {
    if (!has(key)) return otherwise;
    const json& value = values_.at(key);
    if (!value.is_number()) throw UserError("{} is {}; it must be a number", where(key), value.dump());
    return value.get<double>();
  }
  bool truth(const std::string& key, bool otherwise) const {
    if (!has(key)) return otherwise;
    const json& value = values_.at(key);
    if (!value.is_boolean()) throw UserError("{} is {}; it must be true or false", where(key), value.dump());
    return value.get<bool>();
  }
  std::string word(const std::string& key) const { return text(member(values_, key, file_), where(key)); }
  const std::string& file() const { return file_; }

 private:
  const json& values_;
  std::string file_;
};

// Throws UserError for settings that make the model another one than Yuan 2.0's dense model.
void refuse_variants(const HfConfig& config) {
  const std::string type = config.word("model_type");
  if (type != "yuan")
    throw UserError("{} is \"{}\"; only \"yuan\" (Yuan 2.0) is read so far, other families are built later",
                    config.where("model_type"), type);
  for (const char* key : {"moe_config", "num_experts", "rope_scaling"})
    if (config.has(key))
      throw UserError("{} is given; Yuan 2.0's dense models have none, others are built later",
                      config.where(key));
  if (config.has("hidden_act") && config.word("hidden_act") != "silu")
    throw UserError("{} is \"{}\"; it must be \"silu\"", config.where("hidden_act"),
                    config.word("hidden_act"));
  const std::int64_t heads = config.number("num_attention_heads");
  const std::int64_t kv_heads = config.number("num_key_value_heads", heads);
  if (kv_heads != heads)
    throw UserError("{} is {}; Yuan 2.0 has as many as num_attention_heads, {}",
                    config.where("num_key_value_heads"), kv_heads, heads);
}

}  // namespace

ModelConfig read_hf_config(const Path& config_json) {
  const std::string file = config_json.string();
  const json values = parse_json_text(read_text(config_json), file);
  const HfConfig config(values, file);
  refuse_variants(config);

  ModelConfig model;
  model.family = "yuan2";
  model.num_layers = config.number("num_hidden_layers");
  model.hidden_size = config.number("hidden_size");
  model.ffn_hidden_size = config.number("intermediate_size");
  model.num_attention_heads = config.number("num_attention_heads");
  model.vocab_size = config.number("vocab_size");
  model.max_position_embeddings = config.number("max_position_embeddings", 0);
  model.rotary_base = config.real("rope_theta", model.rotary_base);
  model.norm_epsilon = config.real("rms_norm_eps", model.norm_epsilon);
  model.init_method_std = config.real("initializer_range", model.init_method_std);
  model.untie_embeddings_and_output_weights = !config.truth("tie_word_embeddings", true);
  try {
    validate_model(model);
  } catch (const UserError& error) {
    throw UserError("{}: {}", file, error.what());
  }
  return resolved(model, 0);
}

}  // namespace headwater
