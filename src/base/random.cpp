#include "headwater/base/random.h"

#include <cmath>
#include <numbers>

namespace headwater {
namespace {

// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): every input bit reaches every output bit.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

constexpr std::uint64_t kWordSalt = 0x9E3779B97F4A7C15ULL;
constexpr std::uint64_t kNameSalt = 0xD1B54A32D192ED03ULL;

constexpr double kWordToUnit = 0x1p-32;

}  // namespace

RandomKey derive(RandomKey key, std::uint64_t word) { return {mix(key.value + mix(word + kWordSalt))}; }

RandomKey derive(RandomKey key, std::string_view name) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;  // FNV-1a, 64 bits
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  // Names have another salt than numbers, so that a name does not derive the same key as some number.
  return {mix(key.value + mix(hash + kNameSalt))};
}

double uniform(RandomKey key, std::uint64_t index) {
  return philox(key, index >> 2)[index & 3] * kWordToUnit;
}

double normal(RandomKey key, std::uint64_t index) {
  const auto words = philox(key, index >> 1);
  const std::size_t first = 2 * (index & 1);
  const double radius_word = (words[first] + 1.0) * kWordToUnit;  // in (0, 1]: its logarithm is finite
  const double angle = 2.0 * std::numbers::pi * (words[first + 1] * kWordToUnit);
  return std::sqrt(-2.0 * std::log(radius_word)) * std::cos(angle);
}

}  // namespace headwater
