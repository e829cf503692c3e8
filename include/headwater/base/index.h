#pragma once
// Numbers that count things are int or int64 in this house; what the standard library is indexed by is not.

#include <concepts>
#include <cstddef>

namespace headwater {

// `i` must not be negative.
constexpr std::size_t as_index(std::integral auto i) { return static_cast<std::size_t>(i); }

}  // namespace headwater
