#pragma once
// What was meant by a key that does not exist.

#include <string>
#include <string_view>

namespace headwater {

// The known key "section.name" that is nearest in spelling; a known name under another section is nearest of
// all.
std::string nearest_key(std::string_view section, std::string_view name);
std::string nearest_section(std::string_view section);

// Throws UserError naming the key, who gave it ("in FILE", "on the command line") and the nearest known one.
[[noreturn]] void throw_unknown_key(std::string_view section, std::string_view name, std::string_view where);
[[noreturn]] void throw_unknown_section(std::string_view section, std::string_view where);

}  // namespace headwater
