#pragma once
// A field's value as JSON and back, and what can be said of it for people: its type, its default, the values
// that are right. Everything here goes by the field table. Pure functions; any thread may call.

#include "headwater/config/field_table.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace headwater {

nlohmann::json read_value(const Field& field, const RunConfig& run);

// Throws UserError where the type is wrong; `where` says who gave the value ("in FILE", "on the command
// line").
void write_value(const Field& field, RunConfig& run, const nlohmann::json& value, const std::string& where);

// Throws UserError where the value is outside the field's rule, or needs a feature that is not built yet.
void check_value(const Field& field, const RunConfig& run);

// Throws UserError where a required field is still empty.
void check_given(const Field& field, const RunConfig& run);

std::string type_name(const Field& field);
std::string expected(const Field& field);  // "a whole number, at least 1"
std::string default_text(const Field& field);
std::string allowed_text(const Field& field);  // range or choices, and what is not built yet; may be empty

}  // namespace headwater
