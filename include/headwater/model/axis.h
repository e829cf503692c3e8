#pragma once
// The axes along which ranks divide the work, and sets of them. ProcessGrid (layout) orders ranks along these
// axes; a ParameterSpec says over which of them a gradient is summed.

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace headwater {

// From the fastest to the slowest in rank order. Where a layer is shared by more ranks than it has KV heads,
// neighbours hold the same one: they stand along `repeat`, which is 1 elsewhere. The ranks that share a layer
// are those along `repeat` and `tensor` together (kTensorAxes).
enum class Axis : std::uint8_t { repeat, tensor, context, data, pipeline };
inline constexpr int kAxes = 5;

std::string_view name_of(Axis axis);

class AxisSet {
 public:
  constexpr AxisSet() = default;
  constexpr AxisSet(std::initializer_list<Axis> axes) {
    for (Axis axis : axes) bits_ = static_cast<std::uint8_t>(bits_ | (1U << static_cast<unsigned>(axis)));
  }
  constexpr bool contains(Axis axis) const { return (bits_ >> static_cast<unsigned>(axis)) & 1U; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr AxisSet operator|(AxisSet other) const {
    other.bits_ = static_cast<std::uint8_t>(other.bits_ | bits_);
    return other;
  }
  constexpr AxisSet without(AxisSet other) const {
    other.bits_ = static_cast<std::uint8_t>(bits_ & ~other.bits_);
    return other;
  }
  constexpr bool meets(AxisSet other) const { return (bits_ & other.bits_) != 0; }
  auto operator<=>(const AxisSet&) const = default;

 private:
  std::uint8_t bits_ = 0;
};

inline constexpr AxisSet kTensorAxes{Axis::repeat, Axis::tensor};
inline constexpr AxisSet kAllAxes{Axis::repeat, Axis::tensor, Axis::context, Axis::data, Axis::pipeline};

}  // namespace headwater
