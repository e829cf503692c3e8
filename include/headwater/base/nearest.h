#pragma once
// The nearest number that would do, for refusals that name it.

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace headwater {

// The multiple of `unit` that is nearest to `value` and not 0.
inline std::int64_t nearest_multiple(std::int64_t value, std::int64_t unit) {
  return std::max(unit, (value + unit / 2) / unit * unit);
}

// Of the multiples of `unit` that divide `whole`, itself such a multiple, the one nearest to `value`.
inline std::int64_t nearest_divisor(std::int64_t value, std::int64_t whole, std::int64_t unit = 1) {
  std::int64_t best = unit;
  for (std::int64_t candidate = unit; candidate <= whole; candidate += unit)
    if (whole % candidate == 0 && std::abs(candidate - value) < std::abs(best - value)) best = candidate;
  return best;
}

}  // namespace headwater
