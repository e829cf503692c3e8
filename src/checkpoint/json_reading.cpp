#include "json_reading.h"

#include "headwater/base/error.h"

#include <nlohmann/json.hpp>

#include <array>
#include <limits>

namespace headwater {

using nlohmann::json;

const json& member(const json& object, const std::string& key, const std::string& where) {
  if (!object.is_object()) throw UserError("{} is {}; it must be an object", where, object.type_name());
  const auto found = object.find(key);
  if (found == object.end()) throw UserError("{} has no \"{}\"", where, key);
  return *found;
}

std::int64_t whole_number(const json& value, const std::string& where) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  // nlohmann parses numbers without a sign as unsigned.
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMost)
    throw UserError("{} is {}; it must be a whole number, 0 or more", where, value.dump());
  return value.get<std::int64_t>();
}

std::string text(const json& value, const std::string& where) {
  if (!value.is_string()) throw UserError("{} is {}; it must be text", where, value.dump());
  return value.get<std::string>();
}

Shape read_shape(const json& value, const std::string& where) {
  if (!value.is_array() || value.size() > Shape::kMaxRank)
    throw UserError("{} is {}; it must be a list of at most {} sizes", where, value.dump(), Shape::kMaxRank);
  std::array<std::int64_t, Shape::kMaxRank> dims{};
  std::int64_t room = std::numeric_limits<std::int64_t>::max() / 8;
  for (std::size_t d = 0; d < value.size(); ++d) {
    dims[d] = whole_number(value[d], where);
    if (dims[d] > room) throw UserError("{} is {}; that is more than a file can hold", where, value.dump());
    if (dims[d] > 0) room /= dims[d];
  }
  return Shape(std::span(dims).first(value.size()));
}

json shape_json(const Shape& shape) {
  json dims = json::array();
  for (int dim = 0; dim < shape.rank(); ++dim) dims.push_back(shape[dim]);
  return dims;
}

}  // namespace headwater
