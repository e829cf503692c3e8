#pragma once
// The axes along which ranks divide the work, and sets of them. ProcessGrid (layout) orders ranks along these axes; a
// ParameterSpec says over which of them a gradient is summed.

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace headwater {

// From the fastest to the slowest in rank order.
enum class Axis : std::uint8_t { tensor, context, data, pipeline };
inline constexpr int kAxes = 4;

std::string_view name_of(Axis axis);

class AxisSet {
 public:
  constexpr AxisSet() = default;
  constexpr AxisSet(std::initializer_list<Axis> axes) {
    for (Axis axis : axes) bits_ = static_cast<std::uint8_t>(bits_ | (1U << static_cast<unsigned>(axis)));
  }
  constexpr bool contains(Axis axis) const { return (bits_ >> static_cast<unsigned>(axis)) & 1U; }
  constexpr bool empty() const { return bits_ == 0; }
  auto operator<=>(const AxisSet&) const = default;

 private:
  std::uint8_t bits_ = 0;
};

}  // namespace headwater
