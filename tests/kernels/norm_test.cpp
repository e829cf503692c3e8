// RMSNorm and localized filtering: what needs a sum over a row, and sums over rows for gains and biases.

#include "norm_addend.h"

#include "tests/reference/reference_backend.h"

#include <cstring>

namespace headwater::kernels {
namespace {

constexpr double kEpsilon = 1e-5;

// Room for as much as the launcher says, and no more.
DeviceArray<float> workspace_for(const Size& size) {
  return DeviceArray<float>(static_cast<std::size_t>(column_sums_bytes(size.rows, size.columns)) /
                            sizeof(float));
}

// Roundings of a result that a sum over a row of so many columns went into.
double row_units(float, const Size& size) { return 4.0 + 2.0 * std::sqrt(static_cast<double>(size.columns)); }
double row_units(bf16, const Size&) { return 1.1; }
// Of a sum over rows, which is float for both.
double column_units(const Size& size) {
  return 8.0 + 4.0 * std::sqrt(static_cast<double>(size.rows * size.columns));
}

TEST(Kernels, RmsNorm) {
  for_sizes(kSizes, [](const Size& size, auto type) {
    using T = decltype(type);
    Matrix<T> x(size, 1, 3.0), gain({1, size.columns, 0, size.lead}, 2), y(size, 0);
    Matrix<float> rstd({size.rows, 1}, 0);
    ReferenceBackend().run(op::Norm{x.view(), {gain.vector(), kEpsilon, y.view(), rstd.vector()}});
    rms_norm<T>(x, gain.data(), kEpsilon, y, rstd.data(), size.rows, size.columns, nullptr);
    y.expect(row_units(type, size));
    rstd.expect(row_units(float(), size));
  });
}

template <class T>
void rms_norm_backward_of(const Size& size, Addend addend) {
  SCOPED_TRACE(::testing::Message() << addend);
  Matrix<T> dy(size, 1), x(size, 2, 3.0), gain({1, size.columns, 0, size.lead}, 3), y(size, 0);
  AddedGradient<T> to(addend, size);
  Matrix<float> rstd({size.rows, 1}, 0), d_gain({1, size.columns}, 5);
  ReferenceBackend reference;
  reference.run(op::Norm{x.view(), {gain.vector(), kEpsilon, y.view(), rstd.vector()}});
  rms_norm<T>(x, gain.data(), kEpsilon, y, rstd.data(), size.rows, size.columns, nullptr);
  reference.run(op::NormBackward{.dy = dy.view(),
                                 .x = x.view(),
                                 .addend = to.view(),
                                 .dx = to.dx.view(),
                                 .norm = {gain.vector(), rstd.vector(), d_gain.vector()}});
  const DeviceArray<float> workspace = workspace_for(size);
  rms_norm_backward<T>(dy, x, gain.data(), rstd.data(), to.rows(), to.dx, d_gain.data(), workspace.data(),
                       size.rows, size.columns, nullptr);
  // A row of one column is a difference of equals: rstd stands for the size of its terms.
  const double size_of_terms = size.columns == 1 ? static_cast<double>(rstd.reference()[0]) : 1.0;
  to.expect(row_units(T(), size), size_of_terms);
  d_gain.expect(column_units(size), 1.0);
}

TEST(Kernels, RmsNormBackward) {
  for_sizes(kSizes, [](const Size& size, auto type) {
    for (const Addend addend : {Addend::none, Addend::in_place, Addend::apart})
      rms_norm_backward_of<decltype(type)>(size, addend);
  });
}

TEST(Kernels, RmsNormBackwardWithAnAddendThatKeepsItFromVectors) {
  for_sizes(kVectorSizes, [](const Size& size, auto type) {
    for (const Addend addend : {Addend::odd_rows, Addend::misaligned})
      rms_norm_backward_of<decltype(type)>(size, addend);
  });
}

// A group of rows that are wider than what a block keeps of their sums in registers.
TEST(Kernels, RmsNormBackwardOfWideRows) {
  in_every_mode([] {
    rms_norm_backward_of<bf16>({17, 8208}, Addend::in_place);
    rms_norm_backward_of<bf16>({17, 8208}, Addend::apart);
    rms_norm_backward_of<float>({17, 1030}, Addend::none);
  });
}

TEST(Kernels, RmsNormBackwardAddsToTheSameBitsWhereverTheAddendLies) {
  for_sizes(kVectorSizes, [](const Size& size, auto type) {
    using T = decltype(type);
    std::vector<T> in_place;
    for (const Addend addend : {Addend::in_place, Addend::apart}) {
      Matrix<T> dy(size, 1), x(size, 2, 3.0), gain({1, size.columns, 0, size.lead}, 3);
      Matrix<float> rstd({size.rows, 1}, 6), d_gain({1, size.columns}, 5);
      AddedGradient<T> to(addend, size);
      const DeviceArray<float> workspace = workspace_for(size);
      rms_norm_backward<T>(dy, x, gain.data(), rstd.data(), to.rows(), to.dx, d_gain.data(), workspace.data(),
                           size.rows, size.columns, nullptr);
      const std::vector<T> dx = to.dx.host();
      if (addend == Addend::in_place) in_place = dx;
      EXPECT_EQ(std::memcmp(dx.data(), in_place.data(), dx.size() * sizeof(T)), 0);
    }
  });
}

TEST(Kernels, ResidualRmsNorm) {
  for_sizes(kSizes, [](const Size& size, auto type) {
    using T = decltype(type);
    for (const double probability : {0.0, 0.25}) {
      Integers keys({1234567, -89, 5, 77});
      const std::int64_t sequence = (size.rows + 2) / 2 + 1;
      headwater::Dropout described{probability, 9, keys.view({2, 2}), sequence, 1};
      RowDropout dropout;
      if (probability > 0.0)
        dropout = {{keys.data(), 9, 1U << 30U, static_cast<float>(1.0 / 0.75)}, sequence, 1};
      Matrix<T> branch(size, 1), x(size, 2), gain({1, size.columns, 0, size.lead}, 3), out(size, 0),
          y(size, 0);
      Matrix<float> rstd({size.rows, 1}, 0);
      ReferenceBackend().run(op::ResidualNorm{{branch.view(), x.view(), described, out.view()},
                                              {gain.vector(), kEpsilon, y.view(), rstd.vector()}});
      residual_rms_norm<T>(branch, x, dropout, gain.data(), kEpsilon, out, y, rstd.data(), size.rows,
                           size.columns, nullptr);
      out.expect(is_float(type) ? 2.0 : 1.01, is_float(type) ? 1.0 : 0x1p-10);
      y.expect(is_float(type) ? row_units(type, size) : 2.2, is_float(type) ? 1.0 : 0x1p-6);
      rstd.expect(is_float(type) ? row_units(float(), size) : 0x1p15);
    }
  });
}

TEST(Kernels, SumsOverRowsAreTheSameEveryTime) {
  in_every_mode([] {
    const Size size{100, 70};
    std::vector<float> first;
    for (int turn = 0; turn < 2; ++turn) {
      Matrix<float> dy(size, 1), x(size, 2), gain({1, size.columns}, 3), dx(size, 0),
          d_gain({1, size.columns}, 5);
      Matrix<float> rstd({size.rows, 1}, 6);
      const DeviceArray<float> workspace = workspace_for(size);
      rms_norm_backward<float>(dy, x, gain.data(), rstd.data(), {}, dx, d_gain.data(), workspace.data(),
                               size.rows, size.columns, nullptr);
      if (turn == 0)
        first = d_gain.host();
      else
        EXPECT_EQ(first, d_gain.host());
    }
  });
}

// ---- localized filtering ----

struct LfaCase {
  Size size;
  std::int64_t samples = 1, offset = 0;
  bool before = false;  // and with it bias and residual
};
std::ostream& operator<<(std::ostream& out, const LfaCase& c) {
  return out << c.size << ", " << c.samples << " samples, offset " << c.offset
             << (c.before ? ", all terms" : "");
}

// Sequences of 1, of odd lengths, several samples, a shard (offset) whose first row reaches back, strided,
// misaligned, wide.
const LfaCase kLfaCases[] = {{{1, 1}},
                             {{1, 64}, 1, 0, true},
                             {{7, 7}, 7, 0, true},
                             {{6, 63, 1}, 2},
                             {{66, 40, 8}, 2, 0, true},
                             {{65, 65}, 1, 130, true},
                             {{34, 64, 0, 1}, 2, 34, true},
                             {{4, 1030}, 2, 0, true},
                             {{2, 8208}, 1, 0, true},
                             {{5, 2048}, 1, 0, true},
                             {{2, 16400}, 1, 0, true},
                             {{2, 2100, 0, 1}, 1, 0, true}};

// Documents of 1, 2, 3, … rows, over the borders of samples too (there the tap is not taken either way where
// `before` is absent); row 0 belongs to a document that began two rows earlier where there is an offset.
std::vector<std::int32_t> document_starts(const LfaCase& c) {
  std::vector<std::int32_t> start;
  std::int64_t first = c.offset > 0 ? c.offset - 2 : 0, length = 1, left = c.offset > 0 ? 2 : 1;
  for (std::int64_t t = 0; t < c.size.rows; ++t, --left) {
    if (left == 0) first = c.offset + t, left = ++length;
    start.push_back(static_cast<std::int32_t>(first));
  }
  return start;
}

// The operands of both forward ops.
template <class T>
struct TapsOperands {
  Matrix<T> products, before, bias, residual;
  Integers start;
  Taps<T> taps;
  LfaBorders borders;
  Borders described;

  explicit TapsOperands(const LfaCase& c)
      : products({c.size.rows, 2 * c.size.columns, c.size.gap, c.size.lead}, 1),
        before({c.samples, c.size.columns, c.size.gap, c.size.lead}, 2),
        bias({1, c.size.columns, 0, c.size.lead}, 3),
        residual(c.size, 4),
        start(document_starts(c)),
        borders{start.data(), c.offset, c.size.rows / c.samples},
        described{start.view(), c.offset} {
    taps.products = products;
    if (c.before) taps.before = before, taps.bias = bias.data(), taps.residual = residual;
  }
};

TensorView view_if(bool present, TensorView view) { return present ? view : TensorView(); }

TEST(Kernels, LfaTaps) {
  for_sizes(kLfaCases, [](const LfaCase& c, auto type) {
    using T = decltype(type);
    const Size& size = c.size;
    TapsOperands<T> in(c);
    Matrix<T> out(size, 0), z(size, 0), gain({1, size.columns, 0, size.lead}, 5), y(size, 0);
    Matrix<float> rstd({size.rows, 1}, 0);
    ReferenceBackend reference;
    op::LfaTaps described{.products = in.products.view(),
                          .borders = in.described,
                          .samples = c.samples,
                          .before = view_if(c.before, in.before.view()),
                          .bias = view_if(c.before, in.bias.vector()),
                          .residual = view_if(c.before, in.residual.view()),
                          .out = out.view()};
    reference.run(described);
    lfa_taps<T>(in.taps, in.borders, out, size.rows, size.columns, nullptr);
    out.expect(1.0, 0x1p-10);
    described.out = z.view();
    reference.run(op::LfaTapsNorm{described, {gain.vector(), kEpsilon, y.view(), rstd.vector()}});
    lfa_taps_rms_norm<T>(in.taps, in.borders, gain.data(), kEpsilon, z, y, rstd.data(), size.rows,
                         size.columns, nullptr);
    z.expect(1.0, 0x1p-10);
    y.expect(is_float(type) ? row_units(type, size) : 2.2, is_float(type) ? 1.0 : 0x1p-6);
    rstd.expect(is_float(type) ? row_units(float(), size) : 0x1p15);
  });
}

TEST(Kernels, LfaTapsBackward) {
  for_sizes(kLfaCases, [](const LfaCase& c, auto type) {
    using T = decltype(type);
    const Size& size = c.size;
    TapsOperands<T> in(c);  // for the borders
    Matrix<T> d_out(size, 6), d_products({size.rows, 2 * size.columns, size.gap, size.lead}, 0);
    Matrix<T> d_before({c.samples, size.columns, size.gap, size.lead}, 0);
    Matrix<float> d_bias({1, size.columns}, 7);
    ReferenceBackend().run(op::LfaTapsBackward{.d_out = d_out.view(),
                                               .borders = in.described,
                                               .samples = c.samples,
                                               .d_products = d_products.view(),
                                               .d_before = view_if(c.before, d_before.view()),
                                               .d_bias = view_if(c.before, d_bias.vector())});
    const DeviceArray<float> workspace = workspace_for(size);
    lfa_taps_backward<T>(d_out, in.borders, d_products, c.before ? Rows<T>(d_before) : Rows<T>(),
                         c.before ? d_bias.data() : nullptr, c.before ? workspace.data() : nullptr, size.rows,
                         size.columns, nullptr);
    d_products.expect(0.0);  // copies
    if (!c.before) return;
    d_before.expect(0.0);
    d_bias.expect(column_units(size), 1.0);
  });
}

}  // namespace
}  // namespace headwater::kernels
