#include "headwater/config/json_text.h"

#include "headwater/base/error.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <vector>

namespace headwater {
namespace {

using nlohmann::json;

// Watches the parser's events to find keys that appear twice, of which nlohmann would silently keep the last.
class DuplicateKeys {
 public:
  explicit DuplicateKeys(const std::string& name) : name_(name) {}

  bool operator()(int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) {
      objects_.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      objects_.pop_back();
    } else if (event == json::parse_event_t::key) {
      Object& object = objects_.back();
      object.last = parsed.get<std::string>();
      if (!object.keys.insert(object.last).second)
        throw UserError("{}: the key {} appears twice; keep one of the two", name_, path());
    }
    return true;
  }

 private:
  struct Object {
    std::set<std::string> keys;
    std::string last;  // the key whose value is being read
  };

  std::string path() const {
    std::vector<std::string> parts;
    for (const Object& object : objects_) parts.push_back(object.last);
    return fmt::format("{}", fmt::join(parts, "."));
  }

  const std::string& name_;
  std::vector<Object> objects_;
};

// nlohmann's messages begin with "[json.exception.parse_error.101] parse error at line 1, column 2: ".
std::string without_prefix(const std::string& what) {
  const std::size_t bracket = what.find("] ");
  std::string rest = bracket == std::string::npos ? what : what.substr(bracket + 2);
  const std::size_t colon = rest.find(": ");
  if (rest.rfind("parse error", 0) == 0 && colon != std::string::npos) rest = rest.substr(colon + 2);
  return rest;
}

}  // namespace

json parse_json_text(const std::string& text, const std::string& name) {
  try {
    DuplicateKeys duplicates(name);
    const json::parser_callback_t watch = [&](int depth, json::parse_event_t event, json& parsed) {
      return duplicates(depth, event, parsed);
    };
    return json::parse(text, watch, true, true);
  } catch (const json::parse_error& error) {
    const std::string before = text.substr(0, error.byte > 0 ? std::min(error.byte - 1, text.size()) : 0);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t column = before.size() - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
    throw UserError("{}:{}:{}: {}", name, line, column, without_prefix(error.what()));
  } catch (const json::out_of_range& error) {
    throw UserError("{}: {}", name, without_prefix(error.what()));
  }
}

}  // namespace headwater
