#pragma once
// From a file and a command line to a RunConfig, and back.
//
// Order of precedence: defaults, the preset that `model.preset` names, the file, `--section.key=value`. Every
// value's origin is remembered for --print-config. All functions throw UserError with the key (and the
// nearest known one), what was found and what would be right.

#include "headwater/config/run_config.h"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace headwater {

struct LoadedConfig {
  RunConfig run;
  std::map<std::string, std::string>
      origin;  // "training.seed" -> "default", "preset yuan2-2.1b", "FILE", "command line"
  bool given(const std::string& key) const;  // whether anything but the defaults set it
  bool section_given(const std::string& section) const;
};

// `file` may be empty. Each override is "section.key=value" (leading dashes allowed); a value is JSON where
// it parses as JSON, text otherwise. The file may hold // comments.
LoadedConfig load_config(const std::filesystem::path& file, const std::vector<std::string>& overrides);
LoadedConfig parse_config(const nlohmann::json& file, const std::string& file_name,
                          const std::vector<std::string>& overrides);

// Rules that need no rank count and no data: ranges, divisibility, features that are not built yet (refused
// by name). `training` false leaves out what only training needs (train_iters, data.train, batch sizes,
// learning rate).
void validate_model(const ModelConfig& model);
void validate(const RunConfig& run, bool training = true);

// Fills in what 0 or "" stand for in the model section (ffn_hidden_size, num_query_groups, kv_channels,
// max_position_embeddings from seq_length).
ModelConfig resolved(ModelConfig model, std::int64_t seq_length);
// Fills in what 0 stands for in the parallel section (num_chunks, by pipeline_schedule).
ParallelConfig resolved(ParallelConfig parallel);

nlohmann::json to_json(const RunConfig& run);
nlohmann::json to_json(const ModelConfig& model);
ModelConfig model_from_json(const nlohmann::json& section, const std::string& file_name);

std::string print_config(const LoadedConfig& config);  // each key, value and origin
std::string config_help();                             // for --help: section, key, type, default, one line
std::string config_reference();                        // docs/config-reference.md

}  // namespace headwater
