#pragma once
// Guesses which key was meant by one that does not exist.

#include <string>
#include <string_view>

namespace headwater {

// Returns the known key "section.name" that is nearest in spelling. A key with exactly this name in another
// section counts as the nearest.
std::string nearest_key(std::string_view section, std::string_view name);
// Returns the known section that is nearest in spelling.
std::string nearest_section(std::string_view section);

// Throw UserError, whose message names the key or section, where it was given ("in FILE", "on the command
// line") and the nearest known one.
[[noreturn]] void throw_unknown_key(std::string_view section, std::string_view name, std::string_view where);
[[noreturn]] void throw_unknown_section(std::string_view section, std::string_view where);

}  // namespace headwater
