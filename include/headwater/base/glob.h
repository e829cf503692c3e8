#pragma once
// Name patterns, in which `*` stands for any characters, also none, and `?` for any one.

#include <cstddef>
#include <string_view>

namespace headwater {

// Returns the fewest characters that have to be changed, added or left out in `text` for `pattern` to match
// all of it; 0 where it matches as it is. Without wildcards that is Levenshtein's distance.
std::size_t glob_distance(std::string_view pattern, std::string_view text);

inline bool glob_matches(std::string_view pattern, std::string_view text) {
  return glob_distance(pattern, text) == 0;
}

}  // namespace headwater
