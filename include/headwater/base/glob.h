#pragma once
// Name patterns, in which `*` stands for any letters, also none, and `?` for any one letter.

#include <cstddef>
#include <string_view>

namespace headwater {

// Returns the fewest letters that have to be changed, added or left out in `text` for `pattern` to match it;
// 0: it matches. Of a pattern without wildcards that is Levenshtein's distance.
std::size_t glob_distance(std::string_view pattern, std::string_view text);

inline bool glob_matches(std::string_view pattern, std::string_view text) {
  return glob_distance(pattern, text) == 0;
}

}  // namespace headwater
