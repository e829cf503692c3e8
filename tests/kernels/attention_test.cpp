// Attention against the double-precision reference, from the same rounded operands.

#include "attention_problem.h"

namespace headwater::kernels {
namespace {

// Sizes around the tiles of 16, 32, 64 and 128; documents of one token, on both sides of a tile's border.
const AttentionSizes kCases[] = {
    {1, 1, 1, 1, 1, 64},
    {2, 7, 7, 2, 1, 64},
    {1, 63, 63, 1, 1, 64, 0, {}, 0.0, 8},
    {1, 64, 64, 1, 1, 64, 0, {1, 2, 3, 40}},
    {1, 65, 65, 4, 2, 64, 0, {32, 63, 64}, 0.2},
    {1, 130, 130, 1, 1, 64, 0, {62, 63, 64, 65, 66, 128}, 0.1, 24, 3},
    {1, 70, 70, 1, 1, 96, 0, {63}, 0.3},
    {2, 17, 17, 3, 1, 96},
    {1, 130, 130, 1, 1, 96, 0, {64, 96, 97}},
    {1, 65, 65, 1, 1, 128, 0, {}, 0.1},
    {2, 33, 33, 2, 1, 128, 0, {5, 32}},
    {1, 130, 130, 1, 1, 128, 0, {128}},
    {1, 65, 65, 1, 1, 256, 0, {31, 32, 33}, 0.1},
    {1, 7, 7, 2, 1, 256},
    {1, 1, 66, 2, 1, 96, 62},  // the last key of a tile is the first that the query does not reach
    {1, 1, 34, 1, 1, 128, 30},
    {1, 1, 77, 4, 2, 64, 76},                               // generation, one token
    {2, 3, 140, 2, 1, 128, 131, {64, 100}, 0.2, 16},        // a few, with room left in the cache
    {1, 40, 100, 1, 1, 96, 60, {50, 80}, 0.0, 0, 0, 1000},  // indices that count from elsewhere
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
    {1, 20, 20, 1, 1, 128, 0, {}, 0.0, 1},  // misaligned
    {1, 20, 20, 1, 1, 256, 0, {}, 0.1, 1},
    {2, 3, 70, 2, 1, 40, 66, {30}, 0.2, 5, 0, 500},
};

template <class T>
constexpr bool kHalf = std::is_same_v<T, bf16>;

template <class T>
void forward_as_reference(const AttentionSizes& sizes) {
  SCOPED_TRACE(describe(sizes));
  AttentionProblem<T> problem(sizes);
  const std::int64_t width = sizes.heads * sizes.head_dim;
  TestMatrix<T> out(problem.query_rows, width, width + sizes.gap);
  TestMatrix<float> lse(problem.query_rows, sizes.heads, sizes.heads + sizes.gap);
  attention(problem.args(), out.view(), lse.view(), nullptr);
  ReferenceBackend().run(op::Attention{problem.reference(), out.reference(sizes.heads), lse.reference()});
  // Weights are rounded to bf16 before they meet the values, and so is the result; fp32 sums of up to 256
  // products.
  expect_close(out.host(), out.exact, kHalf<T> ? 4e-3 : 3e-6, kHalf<T> ? 6e-3 : 1e-6);
  expect_close(lse.host(), lse.exact, 4e-6, 4e-6);
}

// With what forward saves, and room for the gradients.
template <class T>
struct BackwardProblem {
  AttentionProblem<T> problem;
  std::int64_t width, kv_width, row;
  std::vector<double> exact_out, exact_lse;  // the reference's
  TestMatrix<T> out, d_out, dq, dk, dv;
  TestMatrix<float> lse;
  DeviceArray<unsigned char> workspace;

  // `meaningful`: what the forward leaves is the reference's, which takes its time; else zeros.
  explicit BackwardProblem(const AttentionSizes& s, bool meaningful = true)
      : problem(s),
        width(s.heads * s.head_dim),
        kv_width(s.kv_heads * s.head_dim),
        row(width + s.gap),
        exact_out(static_cast<std::size_t>(problem.query_rows * width)),
        exact_lse(static_cast<std::size_t>(problem.query_rows * s.heads)),
        out(problem.query_rows, width, row, saved(meaningful)),
        d_out(TestMatrix<T>::random(problem.query_rows, width, row, 1.0, problem.random)),
        dq(problem.query_rows, width, problem.stride),
        dk(problem.key_rows, kv_width, problem.stride),
        dv(problem.key_rows, kv_width, problem.stride),
        lse(problem.query_rows, s.heads, s.heads + s.gap, exact_lse),
        workspace(static_cast<std::size_t>(
            attention_backward_bytes(s.samples, s.queries, s.heads, s.head_dim, kHalf<T>))) {}

  void run(bool ordered) {
    attention_backward(problem.args(),
                       {out.input(), d_out.input(), lse.input(), dq.view(), dk.view(), dv.view()},
                       workspace.data(), ordered, nullptr);
  }
  TensorView out_of_reference() { return {exact_out.data(), DType::f64, by_heads(width)}; }
  TensorView lse_of_reference() {
    return {exact_lse.data(), DType::f64, Shape{problem.query_rows, problem.sizes.heads}};
  }

 private:
  Shape by_heads(std::int64_t columns) const {
    return {problem.query_rows, problem.sizes.heads, columns / problem.sizes.heads};
  }
  std::vector<double> saved(bool meaningful) {
    if (meaningful)
      ReferenceBackend().run(op::Attention{problem.reference(), out_of_reference(), lse_of_reference()});
    return exact_out;
  }
};

template <class T>
void backward_as_reference(const AttentionSizes& sizes, bool ordered) {
  SCOPED_TRACE(describe(sizes) + (ordered ? "" : ", unordered"));
  BackwardProblem<T> p(sizes);
  p.run(ordered);
  const std::vector<T> dq = p.dq.host(), dk = p.dk.host(), dv = p.dv.host();
  ReferenceBackend().run(op::AttentionBackward{.of = p.problem.reference(),
                                               .out = p.out_of_reference(),
                                               .lse = p.lse_of_reference(),
                                               .d_out = p.d_out.reference(sizes.heads),
                                               .dq = p.dq.reference(sizes.heads),
                                               .dk = p.dk.reference(sizes.kv_heads),
                                               .dv = p.dv.reference(sizes.kv_heads)});
  // Probabilities and their gradients are rounded to bf16 before they are multiplied; gradients of keys are
  // sums over all queries of a group, of terms up to 3 · |dP|.
  const double absolute = kHalf<T> ? 1.2e-2 : 6e-6, relative = kHalf<T> ? 4e-3 : 4e-6;
  expect_close(dq, p.dq.exact, absolute, relative);
  expect_close(dk, p.dk.exact, absolute, relative);
  expect_close(dv, p.dv.exact, absolute, relative);
  std::size_t unreached = 0;  // keys' elements that nothing reaches, and that something was added to
  for (std::size_t i = 0; i < p.dv.exact.size(); ++i)
    unreached += p.dv.exact[i] == 0.0 && static_cast<float>(dv[i]) != 0.0F ? 1 : 0;
  EXPECT_EQ(unreached, 0U);
}

// Head sizes that tensor cores have for bf16.
const AttentionSizes kLargeHeads[] = {{1, 33, 33, 2, 1, 64, 0, {32}, 0.1},
                                      {1, 7, 7, 1, 1, 96, 0, {3}},
                                      {2, 20, 20, 1, 1, 128},
                                      {1, 17, 17, 1, 1, 256, 0, {16}}};

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
    for (const AttentionSizes& sizes : kLargeHeads) forward_as_reference<float>(sizes);
  });
}

TEST(AttentionBackward, OnTensorCores) {
  in_every_mode([] {
    for (const AttentionSizes& sizes : kCases) backward_as_reference<bf16>(sizes, true);
  });
}

TEST(AttentionBackward, Unordered) {
  in_every_mode([] {
    for (const AttentionSizes& sizes : kCases)
      if (sizes.dropout > 0.0 || sizes.queries < 10) backward_as_reference<bf16>(sizes, false);
  });
}

// Several blocks add to each tile of dq; they run at once, and in other orders each time. The workspace has
// the sums before they are rounded.
template <class T>
void same_bits_each_time(const AttentionSizes& sizes) {
  SCOPED_TRACE(describe(sizes));
  BackwardProblem<T> problem(sizes, false);
  std::vector<unsigned char> sums;
  std::vector<T> dq, dk, dv;
  const auto same = [](const std::vector<T>& a, const std::vector<T>& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
  };
  for (int repeat = 0; repeat < 5; ++repeat) {
#if defined(HEADWATER_TESTS_EMULATED)
    ++emulation::settings().seed;
#endif
    problem.run(true);
    if (repeat == 0) {
      sums = problem.workspace.host(), dq = problem.dq.host(), dk = problem.dk.host(), dv = problem.dv.host();
    } else {
      ASSERT_EQ(problem.workspace.host(), sums);
      ASSERT_TRUE(same(problem.dq.host(), dq) && same(problem.dk.host(), dk) && same(problem.dv.host(), dv));
    }
  }
}

TEST(AttentionBackward, SameBitsEachTime) {
#if defined(HEADWATER_TESTS_EMULATED)
  const emulation::Settings before = emulation::settings();
  emulation::settings().threads = 4;
  emulation::settings().shuffled = true;
#endif
  in_one_mode([] {
    for (const AttentionSizes& sizes :
         {AttentionSizes{1, 500, 500, 2, 1, 64, 0, {50, 300}, 0.1}, AttentionSizes{2, 150, 230, 2, 2, 96, 80},
          AttentionSizes{1, 260, 260, 2, 1, 128, 0, {}, 0.1}, AttentionSizes{1, 200, 200, 1, 1, 256}}) {
      same_bits_each_time<bf16>(sizes);
    }
    same_bits_each_time<float>({1, 40, 40, 2, 1, 24, 0, {35}, 0.1});
#if !defined(HEADWATER_TESTS_EMULATED)
    same_bits_each_time<bf16>({1, 384, 384, 180, 180, 64});  // 540 blocks, more than a GPU has at once
#endif
  });
#if defined(HEADWATER_TESTS_EMULATED)
  emulation::settings() = before;
#endif
}

TEST(AttentionBackward, PlainInBothTypes) {
  in_every_mode([] {
    for (const AttentionSizes& sizes : kPlainCases) {
      backward_as_reference<float>(sizes, true);
      backward_as_reference<bf16>(sizes, true);
    }
    for (const AttentionSizes& sizes : kLargeHeads) backward_as_reference<float>(sizes, true);
  });
}

}  // namespace
}  // namespace headwater::kernels
