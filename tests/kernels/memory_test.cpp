// Fills: exact, so compared bit for bit.

#include "device.h"
#include "kernels.h"

namespace headwater::kernels {
namespace {

TEST(Kernels, FillTouchesItsElementsAndNoOther) {
  in_every_mode([] {
    for (const std::int64_t n : {1, 7, 8, 63, 65, 1000, 4096 * 3 + 5}) {
      for (const std::size_t lead : {0, 1, 3}) {
        const auto size = static_cast<std::size_t>(n);
        DeviceArray<float> x(std::vector<float>(size + 8, 7.0F), lead);
        fill(x.data() + 4, -2.5F, n, nullptr);
        const std::vector<float> got = x.host();
        for (std::size_t i = 0; i < size + 8; ++i) {
          const bool inside = i >= 4 && i < size + 4;
          ASSERT_EQ(got[i], inside ? -2.5F : 7.0F) << i << " of " << n;
        }
      }
    }
  });
}

}  // namespace
}  // namespace headwater::kernels
