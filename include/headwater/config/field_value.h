#pragma once
// Turns a field's value into JSON and back, checks it, and describes it for people: its type, its default,
// the values that it may have. Everything goes by the field table. Pure functions: any thread may call.

#include "headwater/config/field_table.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace headwater {

nlohmann::json read_value(const Field& field, const RunConfig& run);

// Throws UserError if the value has the wrong type. `where` says in the message where the value was given
// ("in FILE", "on the command line").
void write_value(const Field& field, RunConfig& run, const nlohmann::json& value, const std::string& where);

// Throws UserError if the field's rule does not allow the value, or if the value needs a feature that is not
// built yet.
void check_value(const Field& field, const RunConfig& run);

// Throws UserError if the field is required and still empty.
void check_given(const Field& field, const RunConfig& run);

std::string type_name(const Field& field);
std::string expected(const Field& field);  // "a whole number, at least 1"
std::string default_text(const Field& field);
std::string allowed_text(const Field& field);  // range or choices, and what is not built yet; may be empty

}  // namespace headwater
