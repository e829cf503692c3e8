#include "headwater/config/load_config.h"

#include "headwater/base/error.h"
#include "headwater/base/file.h"
#include "headwater/config/field_value.h"
#include "headwater/config/json_text.h"
#include "headwater/config/presets.h"

#include "nearest_key.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace headwater {
namespace {

using nlohmann::json;

constexpr const char* kDefault = "default";
constexpr const char* kCommandLine = "command line";

// One value that somebody gave, not yet written to a RunConfig.
struct Assignment {
  const Field* field;
  json value;
  std::string origin;  // as in LoadedConfig

  std::string where() const { return origin == kCommandLine ? "on the command line" : "in " + origin; }
};

void collect_section(const std::string& section, const json& keys, const std::string& origin,
                     std::vector<Assignment>& assignments) {
  if (!keys.is_object())
    throw UserError("section {} in {} must be an object of keys and values (found: {})", section, origin,
                    keys.type_name());
  for (const auto& [name, value] : keys.items()) {
    const Field* field = find_field(section, name);
    if (!field) throw_unknown_key(section, name, "in " + origin);
    assignments.push_back({field, value, origin});
  }
}

void collect_file(const json& file, const std::string& origin, std::vector<Assignment>& assignments) {
  if (!file.is_object())
    throw UserError(
        "{} must hold an object of sections, such as {{\"model\": {{\"preset\": \"yuan2-mini\"}}}}", origin);
  for (const auto& [section, keys] : file.items()) {
    if (!find_section(section)) throw_unknown_section(section, "in " + origin);
    collect_section(section, keys, origin, assignments);
  }
}

// Parses an override's value: a text that is not JSON is a string.
json override_value(const std::string& key, const std::string& text) {
  if (json::accept(text)) return parse_json_text(text, key + " on the command line");
  try {
    static_cast<void>(
        json(text).dump());  // throws if the text is not UTF-8, which a manifest could not record
  } catch (const json::type_error&) {
    throw UserError("{} on the command line is not valid UTF-8", key);
  }
  return text;
}

Assignment parse_override(const std::string& argument) {
  const std::size_t start = std::min(argument.find_first_not_of('-'), argument.size());
  const std::size_t equals = argument.find('=', start);
  if (equals == std::string::npos) throw UserError("{} has no value; write --section.key=value", argument);
  const std::string key = argument.substr(start, equals - start);
  const std::size_t point = key.find('.');
  if (point == std::string::npos)
    throw UserError("unknown key {} on the command line; keys are written section.key: the nearest is {}",
                    key, nearest_key("", key));
  const std::string section = key.substr(0, point), name = key.substr(point + 1);
  const Field* field = find_field(section, name);
  if (!field) throw_unknown_key(section, name, "on the command line");
  return {field, override_value(key, argument.substr(equals + 1)), kCommandLine};
}

// Applies the preset before all keys that were given, even if a later source than theirs names it.
void apply_preset(const std::vector<Assignment>& assignments, LoadedConfig& config) {
  const Field* key = find_field("model", "preset");
  RunConfig named;
  for (const Assignment& assignment : assignments)
    if (assignment.field == key) write_value(*key, named, assignment.value, assignment.where());
  const std::string& name = named.model.preset;
  if (name.empty()) return;
  RunConfig with_preset;
  with_preset.model = preset(name);
  for (const FieldSection& section : field_table())
    for (const Field& field : section.fields)
      if (read_value(field, with_preset) != read_value(field, config.run))
        config.origin[field.key()] = "preset " + name;
  config.run.model = with_preset.model;
}

LoadedConfig assemble(const std::vector<Assignment>& assignments) {
  LoadedConfig config;
  for (const FieldSection& section : field_table())
    for (const Field& field : section.fields) config.origin[field.key()] = kDefault;
  apply_preset(assignments, config);
  for (const Assignment& assignment : assignments) {
    write_value(*assignment.field, config.run, assignment.value, assignment.where());
    config.origin[assignment.field->key()] = assignment.origin;
  }
  return config;
}

}  // namespace

bool LoadedConfig::given(const std::string& key) const {
  const auto found = origin.find(key);
  HW_CHECK(found != origin.end(), "{} is not a config key", key);
  return found->second != kDefault;
}

bool LoadedConfig::section_given(const std::string& section) const {
  const FieldSection* found = find_section(section);
  HW_CHECK(found, "{} is not a config section", section);
  return std::any_of(found->fields.begin(), found->fields.end(),
                     [this](const Field& field) { return given(field.key()); });
}

LoadedConfig parse_config(const json& file, const std::string& file_name,
                          const std::vector<std::string>& overrides) {
  std::vector<Assignment> assignments;
  collect_file(file, file_name, assignments);
  for (const std::string& argument : overrides) assignments.push_back(parse_override(argument));
  return assemble(assignments);
}

LoadedConfig load_config(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  const json contents = file.empty() ? json::object() : parse_json_text(read_text(file), file.string());
  return parse_config(contents, file.string(), overrides);
}

json to_json(const RunConfig& run) {
  json result = json::object();
  for (const FieldSection& section : field_table())
    for (const Field& field : section.fields) result[section.name][field.name] = read_value(field, run);
  return result;
}

json to_json(const ModelConfig& model) {
  RunConfig run;
  run.model = model;
  return to_json(run).at("model");
}

ModelConfig model_from_json(const json& section, const std::string& file_name) {
  std::vector<Assignment> assignments;
  collect_section("model", section, file_name, assignments);
  RunConfig run;
  for (const Assignment& assignment : assignments)
    write_value(*assignment.field, run, assignment.value, assignment.where());
  return run.model;
}

}  // namespace headwater
