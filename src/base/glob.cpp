#include "headwater/base/glob.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace headwater {

// Goes through the pattern: row[j] is the distance of what has been read of it to the text's first j
// characters.
std::size_t glob_distance(std::string_view pattern, std::string_view text) {
  std::vector<std::size_t> row(text.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (const char wanted : pattern) {
    const bool any = wanted == '*';
    std::size_t diagonal = row[0];
    row[0] += any ? 0 : 1;
    for (std::size_t j = 0; j < text.size(); ++j) {
      const std::size_t above = row[j + 1];
      if (any)
        row[j + 1] = std::min(above, row[j]);
      else
        row[j + 1] =
            std::min({diagonal + (wanted == '?' || wanted == text[j] ? 0 : 1), above + 1, row[j] + 1});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace headwater
