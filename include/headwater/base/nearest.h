#pragma once
// Finds the nearest number that would be right, for error messages that suggest it.

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace headwater {

// Returns the positive multiple of `unit` that is nearest to `value`.
inline std::int64_t nearest_multiple(std::int64_t value, std::int64_t unit) {
  return std::max(unit, (value + unit / 2) / unit * unit);
}

// Returns the divisor of `whole` that is a multiple of `unit` and nearest to `value`. `whole` must be a
// multiple of `unit`.
inline std::int64_t nearest_divisor(std::int64_t value, std::int64_t whole, std::int64_t unit = 1) {
  std::int64_t best = unit;
  for (std::int64_t candidate = unit; candidate <= whole; candidate += unit)
    if (whole % candidate == 0 && std::abs(candidate - value) < std::abs(best - value)) best = candidate;
  return best;
}

}  // namespace headwater
