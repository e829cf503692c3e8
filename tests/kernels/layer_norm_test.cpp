// LayerNorm, alone and after a residual sum, and its backward.

#include "norm_addend.h"

#include "tests/reference/reference_backend.h"

namespace headwater::kernels {
namespace {

constexpr double kEpsilon = 1e-5;

// The operands that all three have.
template <class T>
struct Norm {
  Size size;
  Matrix<T> x, gain, bias, y;
  Matrix<float> mean, rstd;

  // Rows lie around `offset`, far from zero beside their width.
  explicit Norm(const Size& s, double offset = 0.0)
      : size(s),
        x(s, shifted(s, offset)),
        gain({1, s.columns, 0, s.lead}, 2),
        bias({1, s.columns, 0, s.lead}, 3),
        y(s, 0),
        mean({s.rows, 1}, 0),
        rstd({s.rows, 1}, 0) {}
  NormArguments arguments() {
    return {gain.vector(), kEpsilon, y.view(), rstd.vector(), bias.vector(), mean.vector()};
  }
  static std::vector<double> shifted(const Size& s, double offset) {
    std::uint64_t state = 1;
    std::vector<double> values(static_cast<std::size_t>(s.rows * s.columns));
    for (double& value : values) value = offset + 3.0 * random_value(state);
    return values;
  }
  double units() const {
    return is_float(T(0.0F)) ? 8.0 + 2.0 * std::sqrt(static_cast<double>(size.columns)) : 1.1;
  }
  static double floor() { return is_float(T(0.0F)) ? 4.0 : 0x1p-8; }  // of terms that may cancel
  // rstd may be as large as 1/√ε, where a row has one column.
  static double rstd_units() { return 4096.0; }
};

TEST(Kernels, LayerNorm) {
  for_sizes(kSizes, [](const Size& size, auto type) {
    using T = decltype(type);
    for (const double offset : {0.0, 20.0}) {
      Norm<T> n(size, offset);
      ReferenceBackend().run(op::Norm{n.x.view(), n.arguments()});
      layer_norm<T>(n.x, n.gain.data(), n.bias.data(), kEpsilon, n.y, n.mean.data(), n.rstd.data(), size.rows,
                    size.columns, nullptr);
      n.mean.expect(16.0, 1.0 + offset);
      n.rstd.expect(n.rstd_units());
      if (size.columns > 1) n.y.expect(n.units(), n.floor() + (is_float(type) ? offset : 0.0));
    }
  });
}

TEST(Kernels, ResidualLayerNorm) {
  for_sizes(kSizes, [](const Size& size, auto type) {
    using T = decltype(type);
    Integers keys({1234567, -89});
    const headwater::Dropout described{0.25, 9, keys.view({1, 2}), size.rows, 0};
    const RowDropout dropout{{keys.data(), 9, 1U << 30U, static_cast<float>(1.0 / 0.75)}, size.rows, 0};
    Norm<T> n(size);
    Matrix<T> branch(size, 4), out(size, 0);
    ReferenceBackend().run(op::ResidualAdd{branch.view(), n.x.view(), described, out.view()});
    residual_layer_norm<T>(branch, n.x, dropout, n.gain.data(), n.bias.data(), kEpsilon, out, n.y,
                           n.mean.data(), n.rstd.data(), size.rows, size.columns, nullptr);
    out.expect(is_float(type) ? 2.0 : 1.01, is_float(type) ? 4.0 : 0x1p-10);
    if (size.columns == 1) return;  // rstd of a row without variance shows every rounding of `out`
    // The norm is of the row as it was rounded.
    std::vector<double> rounded;
    for (const T value : out.host()) rounded.push_back(static_cast<float>(value));
    Matrix<T> sum(size, rounded);
    ReferenceBackend().run(op::Norm{sum.view(), n.arguments()});
    n.y.expect(n.units(), n.floor());
    n.mean.expect(16.0, 1.0);
    n.rstd.expect(n.rstd_units());
  });
}

template <class T>
void layer_norm_backward_of(const Size& size, Addend addend) {
  SCOPED_TRACE(::testing::Message() << addend);
  Norm<T> n(size);
  Matrix<T> dy(size, 5);
  AddedGradient<T> to(addend, size);
  Matrix<float> d_gain({1, size.columns}, 7), d_bias({1, size.columns}, 8);
  ReferenceBackend reference;
  reference.run(op::Norm{n.x.view(), n.arguments()});
  layer_norm<T>(n.x, n.gain.data(), n.bias.data(), kEpsilon, n.y, n.mean.data(), n.rstd.data(), size.rows,
                size.columns, nullptr);
  reference.run(op::NormBackward{
      .dy = dy.view(),
      .x = n.x.view(),
      .addend = to.view(),
      .dx = to.dx.view(),
      .norm = {n.gain.vector(), n.rstd.vector(), d_gain.vector(), n.mean.vector(), d_bias.vector()}});
  DeviceArray<float> workspace(2 * static_cast<std::size_t>(column_sums_bytes(size.rows, size.columns)) /
                               sizeof(float));
  layer_norm_backward<T>(dy, n.x, n.gain.data(), n.mean.data(), n.rstd.data(), to.rows(), to.dx,
                         d_gain.data(), d_bias.data(), workspace.data(), size.rows, size.columns, nullptr);
  to.expect(n.units(), is_float(T(0.0F)) ? 8.0 : 0x1p-6);
  const double units = 16.0 + 4.0 * std::sqrt(static_cast<double>(size.rows));
  d_gain.expect(units, 4.0);
  d_bias.expect(units, 4.0);
}

TEST(Kernels, LayerNormBackward) {
  for_sizes(kSizes, [](const Size& size, auto type) {
    for (const Addend addend : {Addend::none, Addend::in_place, Addend::apart})
      layer_norm_backward_of<decltype(type)>(size, addend);
  });
}

TEST(Kernels, LayerNormBackwardWithAnAddendThatKeepsItFromVectors) {
  for_sizes(kVectorSizes, [](const Size& size, auto type) {
    for (const Addend addend : {Addend::odd_rows, Addend::misaligned})
      layer_norm_backward_of<decltype(type)>(size, addend);
  });
}

TEST(Kernels, LayerNormBackwardOfWideRows) {
  in_every_mode([] {
    layer_norm_backward_of<bf16>({17, 8208}, Addend::in_place);
    layer_norm_backward_of<bf16>({17, 8208}, Addend::apart);
    layer_norm_backward_of<float>({17, 1030, 1}, Addend::none);
  });
}

}  // namespace
}  // namespace headwater::kernels
