#pragma once
// Makes a RunConfig of a file and a command line, checks it, and prints it.
//
// A later source overrides an earlier one: defaults, the preset that `model.preset` names, the file,
// `--section.key=value`. The origin of every value is kept for --print-config. All functions throw
// UserError, whose message has the key (and the nearest known one), what was found and what would be right.

#include "headwater/config/run_config.h"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace headwater {

struct LoadedConfig {
  RunConfig run;
  // By key: "default", "preset yuan2-2.1b", the file's name, or "command line".
  std::map<std::string, std::string> origin;

  bool given(const std::string& key) const;              // whether anything but the defaults set the key
  bool section_given(const std::string& section) const;  // whether that is so for any key of the section
};

// Without a file `file` is empty. Each override is "section.key=value", and may begin with dashes; a value
// that does not parse as JSON is text. The file may have `//` comments.
LoadedConfig load_config(const std::filesystem::path& file, const std::vector<std::string>& overrides);
LoadedConfig parse_config(const nlohmann::json& file, const std::string& file_name,
                          const std::vector<std::string>& overrides);

// Check all rules that need neither the number of ranks nor the data: ranges, divisibility, features that
// are not built yet. With `training` false, keys that only training needs are not checked (train_iters,
// data.train, batch sizes, learning rate).
void validate_model(const ModelConfig& model);
void validate(const RunConfig& run, bool training = true);

// Returns the model with the values that 0 and "" stand for (ffn_hidden_size, num_query_groups, kv_channels,
// and max_position_embeddings, which becomes seq_length).
ModelConfig resolved(ModelConfig model, std::int64_t seq_length);
// Returns the section with the value that a num_chunks of 0 stands for, by pipeline_schedule.
ParallelConfig resolved(ParallelConfig parallel);

nlohmann::json to_json(const RunConfig& run);
nlohmann::json to_json(const ModelConfig& model);
ModelConfig model_from_json(const nlohmann::json& section, const std::string& file_name);

std::string print_config(const LoadedConfig& config);  // for --print-config: each key, its value and origin
std::string config_help();                             // for --help: each key, its type and default, one line
std::string config_reference();                        // the text of docs/config-reference.md

}  // namespace headwater
