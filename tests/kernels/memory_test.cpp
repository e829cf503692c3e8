// Fills, casts and transposition: exact, so compared bit for bit.

#include "device.h"
#include "kernels.h"

#include <cstring>

namespace headwater::kernels {
namespace {

constexpr std::int64_t kSizes[] = {1, 7, 8, 63, 65, 1000, 4096 * 3 + 5};

// Large, small, both signs, halfway between two bf16, and such that rounding carries into the exponent.
std::vector<float> awkward_floats(std::int64_t n) {
  std::vector<float> values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint32_t bits = static_cast<std::uint32_t>(i * 2654435761U) & 0xbfffffffU;
    std::memcpy(&values[i], &bits, sizeof(bits));
    if (i % 5 == 1) values[i] = 1.0F + 0x1p-8F * static_cast<float>(i % 7);
    if (i % 5 == 3) values[i] = -1.99999F * static_cast<float>(1 << i % 20);
  }
  return values;
}

std::uint16_t rounded(float x) {  // to nearest even, by arithmetic in double on the two neighbours
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const auto value_of = [](std::uint32_t upper) {
    const std::uint32_t word = upper << 16U;
    float value;
    std::memcpy(&value, &word, sizeof(value));
    return static_cast<double>(value);
  };
  const std::uint32_t below = bits >> 16U, above = below + 1;  // in magnitude
  const double to_below = std::abs(x - value_of(below)), to_above = std::abs(value_of(above) - x);
  if (to_below == to_above) return static_cast<std::uint16_t>(below % 2 == 0 ? below : above);
  return static_cast<std::uint16_t>(to_below < to_above ? below : above);
}

TEST(Kernels, FillTouchesItsElementsAndNoOther) {
  in_every_mode([] {
    for (const std::int64_t n : kSizes) {
      for (const std::size_t lead : {0, 1, 3}) {
        const auto size = static_cast<std::size_t>(n);
        DeviceArray<float> wide(std::vector<float>(size + 8, 7.0F), lead);
        fill(wide.data() + 4, -2.5F, n, nullptr);
        DeviceArray<bf16> narrow(std::vector<bf16>(size + 8, bf16(7.0F)), lead);
        fill(narrow.data() + 4, 1.0F / 3.0F, n, nullptr);
        const std::vector<float> got = wide.host();
        const std::vector<bf16> got_narrow = narrow.host();
        for (std::size_t i = 0; i < size + 8; ++i) {
          const bool inside = i >= 4 && i < size + 4;
          ASSERT_EQ(got[i], inside ? -2.5F : 7.0F) << i << " of " << n;
          ASSERT_EQ(static_cast<float>(got_narrow[i]), inside ? 0.333984375F : 7.0F) << i << " of " << n;
        }
      }
    }
  });
}

TEST(Kernels, CastRoundsToNearestEven) {
  in_every_mode([] {
    for (const std::int64_t n : kSizes) {
      for (const std::size_t lead : {0, 1}) {
        const std::vector<float> values = awkward_floats(n);
        DeviceArray<float> from(values, lead), back(values.size());
        DeviceArray<bf16> to(values.size(), lead);
        cast(from.data(), to.data(), n, nullptr);
        cast(to.data(), back.data(), n, nullptr);
        const std::vector<bf16> got = to.host();
        const std::vector<float> widened = back.host();
        for (std::size_t i = 0; i < values.size(); ++i) {
          std::uint16_t bits;
          std::memcpy(&bits, &got[i], sizeof(bits));
          ASSERT_EQ(bits, rounded(values[i])) << values[i] << " at " << i << " of " << n;
          ASSERT_EQ(widened[i], static_cast<float>(got[i])) << i << " of " << n;
        }
      }
    }
  });
}

template <class T>
void transposes(std::int64_t rows, std::int64_t columns) {
  std::vector<T> values(static_cast<std::size_t>(rows * columns));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = T(static_cast<float>(i % 251));
  DeviceArray<T> from(values), to(values.size());
  transpose(from.data(), to.data(), rows, columns, nullptr);
  const std::vector<T> got = to.host();
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      ASSERT_EQ(static_cast<float>(got[static_cast<std::size_t>(j * rows + i)]),
                static_cast<float>(values[static_cast<std::size_t>(i * columns + j)]))
          << i << ", " << j << " of " << rows << " x " << columns;
    }
  }
}

TEST(Kernels, TransposeOfAnyShape) {
  in_every_mode([] {
    for (const auto& [rows, columns] : {std::pair{1, 1}, {1, 65}, {65, 1}, {7, 63}, {32, 32}, {33, 100}}) {
      transposes<float>(rows, columns);
      transposes<bf16>(rows, columns);
    }
  });
}

}  // namespace
}  // namespace headwater::kernels
