#include "headwater/config/field_value.h"

#include "headwater/base/error.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace headwater {
namespace {

using nlohmann::json;

constexpr std::size_t kShownLength = 80;

// Returns a value as it was found, short enough for one line.
std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > kShownLength) text = text.substr(0, kShownLength) + "...";
  return text;
}

const char* kind(const json& value) {
  switch (value.type()) {
    case json::value_t::null: return "null";
    case json::value_t::object: return "an object";
    case json::value_t::array: return "a list";
    case json::value_t::string: return "text";
    case json::value_t::boolean: return "true or false";
    case json::value_t::number_float: return "a number with a point or exponent";
    default: return "a number";
  }
}

[[noreturn]] void throw_wrong_type(const Field& field, const json& value, const std::string& where) {
  throw UserError("{} is {} ({}) {}; it must be {}", field.key(), shown(value), kind(value), where,
                  expected(field));
}

// 1000, 1000.0 and 1e3 are the same whole number. Doubles above 2^53 are refused, as they stand for several
// whole numbers.
std::optional<std::int64_t> whole_number(const json& value) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) return std::nullopt;
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (std::trunc(number) != number || std::abs(number) > 9007199254740992.0) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

// Reads JSON into the value that a FieldPointer points to. There is one overload for each type of key.
struct Writer {
  const Field& field;
  const json& value;
  const std::string& where;

  [[noreturn]] void refuse() const { throw_wrong_type(field, value, where); }

  void operator()(bool* target) const {
    if (!value.is_boolean()) refuse();
    *target = value.get<bool>();
  }
  void operator()(std::int64_t* target) const {
    const auto number = whole_number(value);
    if (!number) refuse();
    *target = *number;
  }
  void operator()(double* target) const {
    if (!value.is_number()) refuse();
    *target = value.get<double>();
  }
  void operator()(std::string* target) const {
    if (!value.is_string()) refuse();
    *target = value.get<std::string>();
  }
  void operator()(PipelineLayout* target) const {
    if (value == "uniform") {
      *target = {};
      return;
    }
    if (value == "auto") {
      *target = {.uniform = false, .layers = {}};
      return;
    }
    if (!value.is_array() || value.empty()) refuse();
    PipelineLayout layout{.uniform = false, .layers = {}};
    for (const json& item : value) {
      const auto count = whole_number(item);
      if (!count) refuse();
      layout.layers.push_back(*count);
    }
    *target = std::move(layout);
  }
  void operator()(RecomputeLayout* target) const {
    RecomputeLayout layout;
    if (value.is_string()) {
      layout.all = value.get<std::string>();
      if (!is_recompute_word(value)) refuse();
    } else if (value.is_array() && !value.empty()) {
      for (const json& item : value) layout.stages.push_back(recompute_entry(item, layout.stages.size()));
    } else {
      refuse();
    }
    *target = std::move(layout);
  }
  void operator()(std::vector<WeightedPrefix>* target) const {
    std::vector<WeightedPrefix> prefixes;
    if (value.is_string()) {
      if (value != "") prefixes.push_back({value.get<std::string>()});
    } else if (value.is_array()) {
      for (const json& item : value) prefixes.push_back(weighted_prefix(item));
    } else {
      refuse();
    }
    *target = std::move(prefixes);
  }
  void operator()(std::vector<double>* target) const {
    if (!value.is_array() ||
        !std::all_of(value.begin(), value.end(), [](const json& item) { return item.is_number(); }))
      refuse();
    *target = value.get<std::vector<double>>();
  }
  void operator()(std::vector<std::int64_t>* target) const {
    if (!value.is_array()) refuse();
    std::vector<std::int64_t> numbers;
    for (const json& item : value) {
      const auto number = whole_number(item);
      if (!number) refuse();
      numbers.push_back(*number);
    }
    *target = std::move(numbers);
  }
  void operator()(std::vector<std::string>* target) const {
    if (!value.is_array() ||
        !std::all_of(value.begin(), value.end(), [](const json& item) { return item.is_string(); }))
      refuse();
    *target = value.get<std::vector<std::string>>();
  }

  static bool is_recompute_word(const json& item) {
    return item == "none" || item == "selective" || item == "full";
  }

  RecomputeLayout::Entry recompute_entry(const json& item, std::size_t stage) const {
    if (is_recompute_word(item)) return item.get<std::string>();
    const auto layers = whole_number(item);
    if (!layers || *layers < 0)
      throw UserError(
          "{} {} {}: the entry of stage {} is {}; it must be \"none\", \"selective\", \"full\" or a number "
          "of layers",
          field.key(), shown(value), where, stage, shown(item));
    return *layers;
  }

  WeightedPrefix weighted_prefix(const json& item) const {
    if (item.is_string()) return {item.get<std::string>()};
    if (!item.is_object() || !item.contains("prefix") || !item["prefix"].is_string()) refuse();
    WeightedPrefix result{item["prefix"].get<std::string>()};
    for (const auto& [name, part] : item.items()) {
      if (name == "prefix") continue;
      if (name != "weight" || !part.is_number()) refuse();
      result.weight = part.get<double>();
    }
    return result;
  }
};

struct Reader {
  json operator()(const bool* value) const { return *value; }
  json operator()(const std::int64_t* value) const { return *value; }
  json operator()(const double* value) const { return *value; }
  json operator()(const std::string* value) const { return *value; }
  json operator()(const PipelineLayout* value) const {
    if (value->uniform) return "uniform";
    return value->layers.empty() ? json("auto") : json(value->layers);
  }
  json operator()(const RecomputeLayout* value) const {
    if (value->stages.empty()) return value->all;
    json list = json::array();
    for (const RecomputeLayout::Entry& entry : value->stages)
      std::visit([&](const auto& item) { list.push_back(item); }, entry);
    return list;
  }
  json operator()(const std::vector<WeightedPrefix>* value) const {
    if (value->size() == 1 && value->front().weight == 1.0) return value->front().prefix;
    json list = json::array();
    for (const WeightedPrefix& part : *value)
      list.push_back({{"prefix", part.prefix}, {"weight", part.weight}});
    return list;
  }
  json operator()(const std::vector<double>* value) const { return *value; }
  json operator()(const std::vector<std::int64_t>* value) const { return *value; }
  json operator()(const std::vector<std::string>* value) const { return *value; }
};

struct TypeName {
  const char* operator()(const bool*) const { return "bool"; }
  const char* operator()(const std::int64_t*) const { return "integer"; }
  const char* operator()(const double*) const { return "number"; }
  const char* operator()(const std::string*) const { return "text"; }
  const char* operator()(const PipelineLayout*) const { return "layout"; }
  const char* operator()(const RecomputeLayout*) const { return "recompute"; }
  const char* operator()(const std::vector<WeightedPrefix>*) const { return "data"; }
  const char* operator()(const std::vector<double>*) const { return "numbers"; }
  const char* operator()(const std::vector<std::int64_t>*) const { return "integers"; }
  const char* operator()(const std::vector<std::string>*) const { return "texts"; }
};

struct Expectation {
  const char* operator()(const bool*) const { return "true or false"; }
  const char* operator()(const std::int64_t*) const { return "a whole number"; }
  const char* operator()(const double*) const { return "a number"; }
  const char* operator()(const std::string*) const { return "text"; }
  const char* operator()(const PipelineLayout*) const {
    return "\"auto\", \"uniform\" or a list of layer counts such as [3,1]";
  }
  const char* operator()(const RecomputeLayout*) const {
    return "\"none\", \"selective\", \"full\", or a list of such words and numbers of layers, one per "
           "virtual stage, such "
           "as [\"full\",2]";
  }
  const char* operator()(const std::vector<WeightedPrefix>*) const {
    return "a prefix such as \"data/corpus\", or a list of prefixes or of {\"prefix\": \"data/corpus\", "
           "\"weight\": 1}";
  }
  const char* operator()(const std::vector<double>*) const { return "a list of numbers such as [98,1,1]"; }
  const char* operator()(const std::vector<std::int64_t>*) const {
    return "a list of whole numbers such as [16,16,300000]";
  }
  const char* operator()(const std::vector<std::string>*) const {
    return "a list of texts such as [\"embedding.*\",\"layers.0.*\"]";
  }
};

// The const_cast is sound: the readers above take pointers to const.
FieldPointer locate(const Field& field, const RunConfig& run) {
  return field.locate(const_cast<RunConfig&>(run));
}

// Returns a value as FieldRule::built and messages have it: text without quotes, whole doubles without ".0".
std::string plain(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string range_text(const FieldRule& rule) {
  if (rule.min && rule.below) return fmt::format("at least {} and below {}", *rule.min, *rule.below);
  if (rule.min && rule.max) return fmt::format("{} to {:.0f}", *rule.min, *rule.max);
  if (rule.min) return fmt::format("at least {}", *rule.min);
  if (rule.above) return fmt::format("above {}", *rule.above);
  return "";
}

bool in_range(const FieldRule& rule, double number) {
  return !(rule.min && number < *rule.min) && !(rule.max && number > *rule.max) &&
         !(rule.above && number <= *rule.above) && !(rule.below && number >= *rule.below);
}

bool contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool is_empty(const json& value) { return value == "" || value == 0 || value == json::array(); }

std::string choices_text(const FieldRule& rule) {
  std::vector<std::string> built, later;
  for (const std::string& choice : rule.choices)
    (rule.built.empty() || contains(rule.built, choice) ? built : later).push_back(choice);
  std::string text = fmt::format("{}", fmt::join(built, ", "));
  if (built.size() > 1) text = "one of " + text;
  if (!later.empty()) text += fmt::format(" (not built yet: {})", fmt::join(later, ", "));
  return text;
}

}  // namespace

nlohmann::json read_value(const Field& field, const RunConfig& run) {
  return std::visit(Reader{}, locate(field, run));
}

void write_value(const Field& field, RunConfig& run, const json& value, const std::string& where) {
  std::visit(Writer{field, value, where}, field.locate(run));
}

void check_value(const Field& field, const RunConfig& run) {
  const json value = read_value(field, run);
  if (value == read_value(field, RunConfig{})) return;  // a default is right, or check_given refuses it
  const FieldRule& rule = field.rule;
  const std::string text = plain(value);
  if (value.is_number() && !in_range(rule, value.get<double>()))
    throw UserError("{} is {}; it must be {}", field.key(), text, expected(field));
  if (!rule.choices.empty() && !contains(rule.choices, text))
    throw UserError("{} is \"{}\"; it must be {}", field.key(), text, expected(field));
  if (!rule.built.empty() && !contains(rule.built, text))
    throw UserError(
        "{} is {}: {} is not built yet; {}", field.key(), shown(value), rule.feature,
        rule.built.front().empty() ? "leave it out" : fmt::format("{} is", fmt::join(rule.built, " or ")));
}

void check_given(const Field& field, const RunConfig& run) {
  if (!field.rule.required) return;
  const json value = read_value(field, run);
  if (is_empty(value))
    throw UserError("{} is missing or {}; it must be {}", field.key(), value.is_number() ? "0" : "empty",
                    expected(field));
}

std::string type_name(const Field& field) { return std::visit(TypeName{}, locate(field, RunConfig{})); }

std::string expected(const Field& field) {
  if (!field.rule.choices.empty()) return choices_text(field.rule);
  const std::string range = range_text(field.rule);
  const char* what = std::visit(Expectation{}, locate(field, RunConfig{}));
  return range.empty() ? what : fmt::format("{}, {}", what, range);
}

std::string default_text(const Field& field) {
  if (field.rule.required) return "required";
  const json value = read_value(field, RunConfig{});
  return value.is_string() ? value.dump() : plain(value);
}

std::string allowed_text(const Field& field) {
  const FieldRule& rule = field.rule;
  if (!rule.choices.empty()) return choices_text(rule);
  std::string text = range_text(rule);
  if (!rule.built.empty())
    text += fmt::format("{}{} is not built yet", text.empty() ? "" : "; ", rule.feature);
  return text;
}

}  // namespace headwater
