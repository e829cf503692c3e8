#pragma once
// The one table of config keys. Each section lists its fields: name, place of the value in a RunConfig,
// meaning, and allowed values.
//
// Parsing, --help, --print-config, docs/config-reference.md, JSON and the checks of single values are loops
// over this table. A field's default is the initialiser of its struct member. The table is built once and
// never changed: any thread may read it.

#include "headwater/config/run_config.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace headwater {

// Points to a field's value in one RunConfig. The alternatives are the types that a key can have.
using FieldPointer = std::variant<bool*, std::int64_t*, double*, std::string*, PipelineLayout*,
                                  RecomputeLayout*, std::vector<WeightedPrefix>*, std::vector<double>*,
                                  std::vector<std::int64_t>*, std::vector<std::string>*>;

// The values that a field may have. A value whose feature does not exist yet is within the range or among
// the choices, but not in `built`, and is refused with `feature` as the reason.
struct FieldRule {
  std::optional<double> min = {}, max = {};      // inclusive
  std::optional<double> above = {}, below = {};  // exclusive
  std::vector<std::string> choices = {};         // for a text: the texts that it may be
  std::vector<std::string> built = {};           // values that exist, as plain text; empty: all values do
  std::string feature = {};                      // the message for others is "{feature} is not built yet"
  bool required = false;                         // whether an empty value or 0 is refused
  std::string note = {};                         // what an empty value, 0 or −1 stands for
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
const FieldSection* find_section(std::string_view name);                   // null if there is none
const Field* find_field(std::string_view section, std::string_view name);  // null if there is none

}  // namespace headwater
