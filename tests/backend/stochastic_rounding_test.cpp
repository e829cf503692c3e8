// bf16 weights that are rounded by chance: as op_arguments.h says, element by element, and the same bits
// however shards are cut.

#include "headwater/backend/make_backend.h"
#include "headwater/base/random.h"
#include "headwater/tensor/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <vector>

namespace headwater {
namespace {

constexpr std::int64_t kRows = 12, kColumns = 20, kUpdates = 7;
constexpr std::uint64_t kKey = 0xabcdef0123456789ULL;

struct Rounded {
  std::vector<float> masters;
  std::vector<std::uint16_t> weights;
};

// AdamW on elements [begin, end) of columns [first, first + columns) of a matrix whose element e is 1 + e /
// 1000.
Rounded update(Backend& backend, std::int64_t first, std::int64_t columns, std::int64_t begin,
               std::int64_t end) {
  const std::int64_t count = end - begin;
  StochasticRounding rounding{true, kKey, begin, first, columns, kColumns};
  if (columns == kColumns) rounding.columns = rounding.row = 0;
  Arena arena(backend.device());
  arena.reserve("all", 65536);
  const auto vector = [&](const std::vector<float>& values) {
    const TensorView view = arena.take("all", DType::f32, {count});
    backend.to_device(TensorView(const_cast<float*>(values.data()), DType::f32, {count}), view);
    return view;
  };
  std::vector<float> masters;
  for (std::int64_t i = 0; i < count; ++i)
    masters.push_back(1.0F + static_cast<float>(rounding.element(i)) / 1000.0F);
  const std::vector<float> zeros(static_cast<std::size_t>(count));
  op::AdamW adamw;
  adamw.master = vector(masters);
  adamw.gradient = vector(zeros);
  adamw.first_moment = vector(zeros);
  adamw.second_moment = vector(zeros);
  adamw.weight = arena.take("all", DType::bf16, {count});
  adamw.rounding = rounding;
  std::vector<double> host(kStepScalars);
  const auto set = [&](StepScalar which, double value) { host[static_cast<std::size_t>(which)] = value; };
  set(StepScalar::updates, kUpdates), set(StepScalar::clip_factor, 1.0), set(StepScalar::apply, 1.0);
  adamw.scalars = arena.take("all", DType::f64, {kStepScalars});
  backend.to_device(TensorView(host.data(), DType::f64, {kStepScalars}), adamw.scalars);
  backend.run(adamw);
  Rounded result{std::vector<float>(masters.size()), std::vector<std::uint16_t>(masters.size())};
  backend.to_host(adamw.master, TensorView(result.masters.data(), DType::f32, {count}));
  backend.to_host(adamw.weight, TensorView(result.weights.data(), DType::bf16, {count}));
  return result;
}

std::vector<std::unique_ptr<Backend>> backends() {
  std::vector<std::unique_ptr<Backend>> all;
  all.push_back(make_backend({{}, 1}));
  all.push_back(make_backend({{}, 3}));
  if (built_with_cuda()) all.push_back(make_backend({{Device::Kind::cuda, 0}, 1}));
  return all;
}

TEST(StochasticRounding, FollowsPhilox) {
  for (const std::unique_ptr<Backend>& backend : backends()) {
    const Rounded whole = update(*backend, 0, kColumns, 0, kRows * kColumns);
    std::int64_t up = 0;
    for (std::size_t e = 0; e < whole.weights.size(); ++e) {
      const std::uint32_t chance = philox(RandomKey{kKey}, e / 4, kUpdates)[e % 4] & 0xffffU;
      const auto bits = std::bit_cast<std::uint32_t>(whole.masters[e]);
      ASSERT_EQ(whole.weights[e], (bits + chance) >> 16U) << name_of(backend->device()) << " " << e;
      up += whole.weights[e] > bits >> 16U ? 1 : 0;
    }
    EXPECT_GT(up, kRows * kColumns / 4);
    EXPECT_LT(up, 3 * kRows * kColumns / 4);
  }
}

// Columns cut by tensor ranks, and ranges cut out of those by a sharded optimizer; at multiples of 4 and
// elsewhere.
TEST(StochasticRounding, NoCutChangesIt) {
  for (const std::unique_ptr<Backend>& backend : backends()) {
    const Rounded whole = update(*backend, 0, kColumns, 0, kRows * kColumns);
    for (const std::int64_t first : {0, 4, 7, 20}) {
      for (const auto& [left, right] : {std::pair<std::int64_t, std::int64_t>{0, first}, {first, kColumns}}) {
        const std::int64_t columns = right - left, all = kRows * columns;
        for (const std::int64_t cut : {std::int64_t{0}, all / 3, std::min<std::int64_t>(8, all)}) {
          for (const auto& [begin, end] : {std::pair{std::int64_t{0}, cut}, std::pair{cut, all}}) {
            if (begin == end) continue;
            const Rounded part = update(*backend, left, columns, begin, end);
            for (std::int64_t i = 0; i < end - begin; ++i) {
              const std::int64_t e = (begin + i) / columns * kColumns + left + (begin + i) % columns;
              ASSERT_EQ(part.weights[static_cast<std::size_t>(i)], whole.weights[static_cast<std::size_t>(e)])
                  << name_of(backend->device()) << " columns from " << left << ", elements from " << begin
                  << ", " << i;
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace headwater
