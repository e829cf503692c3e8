#pragma once
// The one table of config keys. Each section lists its fields: name, where the value lies in a RunConfig,
// what it means and which values are right. Parsing, --help, --print-config, docs/config-reference.md, JSON
// and the checks of single values are loops over this table; a default is what the struct's own initialiser
// says. Built once, never changed after: any thread may read.

#include "headwater/config/run_config.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace headwater {

// Where a field's value lies in one RunConfig; its alternatives are the types that a key can have.
using FieldPointer =
    std::variant<bool*, std::int64_t*, double*, std::string*, PipelineLayout*, RecomputeLayout*,
                 std::vector<WeightedPrefix>*, std::vector<double>*, std::vector<std::int64_t>*>;

// Which values are right. A value that the interface names and whose feature does not exist yet is in the
// range or among the choices but not in `built`.
struct FieldRule {
  std::optional<double> min = {}, max = {};      // inclusive
  std::optional<double> above = {}, below = {};  // exclusive
  std::vector<std::string> choices = {};         // of a text
  std::vector<std::string> built = {};           // as plain text; empty: every value
  std::string feature = {};                      // what the other values need: "{feature} is not built yet"
  bool required = false;                         // a value that is still empty or 0 is refused
  std::string note = {};                         // what an empty value, 0 or -1 stands for
};

struct Field {
  std::string section, name;
  std::string description;  // one line, with its unit
  FieldRule rule;
  std::function<FieldPointer(RunConfig&)> locate;

  std::string key() const { return section + "." + name; }
};

struct FieldSection {
  std::string name, description;
  std::vector<Field> fields;
};

const std::vector<FieldSection>& field_table();
const FieldSection* find_section(std::string_view name);                   // null where there is none
const Field* find_field(std::string_view section, std::string_view name);  // null where there is none

}  // namespace headwater
