// Attention against the double-precision reference, from the same rounded operands.

#include "attention_problem.h"

namespace headwater::kernels {
namespace {

// Sizes around the tiles of 16, 32, 64 and 128; documents of one token, on both sides of a tile's border.
const AttentionSizes kCases[] = {
    {1, 1, 1, 1, 1, 64},
    {2, 7, 7, 2, 1, 64},
    {1, 63, 63, 2, 2, 64, 0, {}, 0.0, 8},
    {1, 64, 64, 1, 1, 64, 0, {1, 2, 3, 40}},
    {2, 65, 65, 4, 2, 64, 0, {32, 63, 64}, 0.2},
    {1, 130, 130, 3, 1, 64, 0, {62, 63, 64, 65, 66, 128}, 0.1, 24, 3},
    {1, 70, 70, 2, 2, 96, 0, {64}, 0.3},
    {2, 63, 63, 3, 1, 96},
    {1, 130, 130, 1, 1, 96, 0, {96, 97}},
    {1, 65, 65, 2, 2, 128, 0, {}, 0.1},
    {2, 33, 33, 2, 1, 128, 0, {5, 32}},
    {1, 130, 130, 1, 1, 128, 0, {128}},
    {1, 65, 65, 2, 1, 256, 0, {31, 32, 33}, 0.1},
    {1, 7, 7, 1, 1, 256},
    {1, 1, 77, 4, 2, 64, 76},                            // generation, one token
    {2, 3, 140, 3, 1, 128, 131, {64, 100}, 0.2, 16},     // a few, with room left in the cache
    {1, 40, 100, 2, 1, 96, 60, {50, 80}, 0.0, 0, 0, 1000},  // indices that count from elsewhere
    {1, 20, 150, 1, 1, 256, 130, {90}},
};
// Those that only the plain kernel takes.
const AttentionSizes kPlainCases[] = {
    {1, 1, 1, 2, 1, 8},
    {2, 37, 37, 4, 2, 16, 0, {5, 6, 31, 32}, 0.3, 7, 2},
    {1, 65, 65, 3, 1, 24, 0, {64}},
    {1, 63, 63, 2, 2, 32, 0, {}, 0.1, 1},
    {1, 64, 64, 1, 1, 20, 0, {20}, 0.0, 3},
    {1, 35, 35, 1, 1, 200, 0, {16}, 0.1},
    {2, 3, 70, 2, 1, 40, 66, {30}, 0.2, 5, 0, 500},
};

template <class T>
constexpr bool kHalf = std::is_same_v<T, bf16>;

template <class T>
void forward_as_reference(const AttentionSizes& sizes) {
  SCOPED_TRACE(describe(sizes));
  AttentionProblem<T> problem(sizes);
  const std::int64_t width = sizes.heads * sizes.head_dim;
  TestMatrix<T> out(problem.query_rows, width, width + sizes.gap), again(problem.query_rows, width, width + sizes.gap);
  TestMatrix<float> lse(problem.query_rows, sizes.heads, sizes.heads + sizes.gap);
  attention(problem.args(), out.view(), lse.view(), nullptr);
  attention(problem.args(), again.view(), lse.view(), nullptr);
  ReferenceBackend reference;
  reference.attention(problem.reference(), out.reference(sizes.heads), lse.reference());
  const std::vector<T> got = out.host(), got_again = again.host();
  // Weights are rounded to bf16 before they meet the values, and so is the result; fp32 sums of up to 256 products.
  expect_close(got, out.exact, kHalf<T> ? 4e-3 : 3e-6, kHalf<T> ? 6e-3 : 1e-6);
  expect_close(lse.host(), lse.exact, 4e-6, 4e-6);
  EXPECT_EQ(std::memcmp(got.data(), got_again.data(), got.size() * sizeof(T)), 0) << "other bits the second time";
}

TEST(Attention, OnTensorCores) {
  in_every_mode([] {
    for (const AttentionSizes& sizes : kCases) forward_as_reference<bf16>(sizes);
  });
}

TEST(Attention, PlainInBothTypes) {
  in_every_mode([] {
    for (const AttentionSizes& sizes : kPlainCases) {
      forward_as_reference<float>(sizes);
      forward_as_reference<bf16>(sizes);
    }
  });
}

TEST(Attention, Fp32OfLargeHeads) {
  in_every_mode([] {
    for (const AttentionSizes& sizes : kCases)
      if (sizes.queries < 70) forward_as_reference<float>(sizes);
  });
}

}  // namespace
}  // namespace headwater::kernels
