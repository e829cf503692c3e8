#pragma once
// Takes values out of JSON that came from a file. A value that is missing or of the wrong type is a
// UserError, which names the place `where`.

#include "headwater/tensor/shape.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>

namespace headwater {

const nlohmann::json& member(const nlohmann::json& object, const std::string& key, const std::string& where);
std::int64_t whole_number(const nlohmann::json& value, const std::string& where);  // 0 or more
std::string text(const nlohmann::json& value, const std::string& where);
// A list of at most four sizes whose product, times eight, fits 63 bits.
Shape read_shape(const nlohmann::json& value, const std::string& where);
nlohmann::json shape_json(const Shape& shape);

}  // namespace headwater
