// The config in words: --print-config, --help and docs/config-reference.md, all from the field table.

#include "headwater/config/field_value.h"
#include "headwater/config/load_config.h"
#include "headwater/schedule/schedule_table.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace headwater {
namespace {

// Returns a field's description with the values that it may have: "share ... dropped (at least 0 and below
// 1)".
std::string meaning(const Field& field) {
  std::string text = field.description;
  const std::string allowed = allowed_text(field);
  if (!allowed.empty()) text += fmt::format("; {}", allowed);
  if (!field.rule.note.empty()) text += fmt::format("; {}", field.rule.note);
  return text;
}

constexpr const char* kReferenceHead = R"(# Config reference

Generated from the field table (`src/config/field_table.cpp`) by `headwater config-reference`; do not edit.

A run is described by one JSON file, in which `//` comments are allowed, and by `--section.key=value` on the
command line, where a value is JSON if it parses as JSON and text otherwise. What is said later wins:
defaults, the preset that `model.preset` names, the file, the command line. `headwater train CONFIG.json
--print-config` shows every value and where it came from. An unknown key, a key that appears twice and a value
of the wrong type are errors.

Types: *integer* takes whole numbers, also as `1e3`; *layout* is `"uniform"` or a list of layer counts;
*recompute* is a word or a list of words and numbers; *data* is the prefix of a `.bin/.idx` pair, or a list whose entries are prefixes or `{"prefix": "data/a", "weight":
2}` (weight 1 unless said); *numbers*, *integers* and *texts* are lists.
)";

// The table of schedules as a section of the reference.
std::string schedule_reference() {
  std::string text =
      "\n## Pipeline schedules\n\nWhat each costs: [pipeline.md](pipeline.md#schedules).\n\n"
      "| `parallel.pipeline_schedule` | `parallel.num_chunks` | order |\n| --- | --- | --- |\n";
  for (const ScheduleKind& kind : schedule_kinds())
    text += fmt::format("| `{}` | {}{} | {} |\n", kind.name, kind.default_chunks,
                        kind.takes_any_chunks() ? " unless said, any" : "", kind.description);
  return text;
}

}  // namespace

std::string print_config(const LoadedConfig& config) {
  constexpr std::size_t kWidest =
      70;  // the origin of a longer value stands further right than those of others
  std::vector<std::pair<std::string, std::string>> lines;
  std::size_t width = 0;
  for (const FieldSection& section : field_table()) {
    for (const Field& field : section.fields) {
      lines.emplace_back(fmt::format("{} = {}", field.key(), read_value(field, config.run).dump()),
                         config.origin.at(field.key()));
      width = std::max(width, lines.back().first.size());
    }
  }
  std::string text;
  for (const auto& [value, origin] : lines)
    text += fmt::format("{:<{}}  // {}\n", value, std::min(width, kWidest), origin);
  return text;
}

std::string config_help() {
  std::string text = "Config keys, in CONFIG.json or as --section.key=value (default in brackets):\n";
  for (const FieldSection& section : field_table()) {
    text += fmt::format("\n{}: {}\n", section.name, section.description);
    for (const Field& field : section.fields)
      text += fmt::format("  {:<42} {:<8} [{}]\n      {}\n", field.key(), type_name(field),
                          default_text(field), meaning(field));
  }
  return text;
}

std::string config_reference() {
  std::string text = kReferenceHead;
  for (const FieldSection& section : field_table()) {
    text += fmt::format("\n## {}\n\n{}\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n",
                        section.name, section.description);
    for (const Field& field : section.fields) {
      const std::string value = default_text(field);
      text += fmt::format("| `{}` | {} | {} | {} |\n", field.name, type_name(field),
                          field.rule.required ? value : fmt::format("`{}`", value), meaning(field));
    }
  }
  return text + schedule_reference();
}

}  // namespace headwater
