// LayerNorm against plain loops in double precision: the op catalogue has no LayerNorm yet.

#include "norm_addend.h"

#include "tests/reference/reference_backend.h"

namespace headwater::kernels {
namespace {

constexpr double kEpsilon = 1e-5;

double& at(const TensorView& x, std::int64_t row, std::int64_t column) {
  return static_cast<double*>(x.data)[row * x.row_stride + column];
}

void reference_layer_norm(const TensorView& x, const TensorView& gain, const TensorView& bias,
                          const TensorView& y, const TensorView& mean, const TensorView& rstd) {
  const std::int64_t columns = x.columns();
  for (std::int64_t t = 0; t < x.rows(); ++t) {
    double sum = 0.0, squares = 0.0;
    for (std::int64_t i = 0; i < columns; ++i) sum += at(x, t, i);
    const double m = sum / static_cast<double>(columns);
    for (std::int64_t i = 0; i < columns; ++i) squares += (at(x, t, i) - m) * (at(x, t, i) - m);
    const double r = 1.0 / std::sqrt(squares / static_cast<double>(columns) + kEpsilon);
    at(mean, t, 0) = m, at(rstd, t, 0) = r;
    for (std::int64_t i = 0; i < columns; ++i)
      at(y, t, i) = at(gain, 0, i) * (at(x, t, i) - m) * r + at(bias, 0, i);
  }
}

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
      reference_layer_norm(n.x.view(), n.gain.view(), n.bias.view(), n.y.view(), n.mean.view(),
                           n.rstd.view());
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
    reference_layer_norm(sum.view(), n.gain.view(), n.bias.view(), n.y.view(), n.mean.view(), n.rstd.view());
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
  reference_layer_norm(n.x.view(), n.gain.view(), n.bias.view(), n.y.view(), n.mean.view(), n.rstd.view());
  layer_norm<T>(n.x, n.gain.data(), n.bias.data(), kEpsilon, n.y, n.mean.data(), n.rstd.data(), size.rows,
                size.columns, nullptr);
  const TensorView d = dy.view(), g = n.gain.view(), x = n.x.view(), added = to.view();
  const auto count = static_cast<double>(size.columns);
  for (std::int64_t t = 0; t < size.rows; ++t) {
    const double m = at(n.mean.view(), t, 0), r = at(n.rstd.view(), t, 0);
    double mean_d = 0.0, mean_dot = 0.0;
    for (std::int64_t i = 0; i < size.columns; ++i) {
      mean_d += at(d, t, i) * at(g, 0, i) / count;
      mean_dot += at(d, t, i) * at(g, 0, i) * (at(x, t, i) - m) * r / count;
    }
    for (std::int64_t i = 0; i < size.columns; ++i) {
      const double normal = (at(x, t, i) - m) * r;
      const double value = r * (at(d, t, i) * at(g, 0, i) - mean_d - normal * mean_dot);
      at(to.dx.view(), t, i) = added ? at(added, t, i) + value : value;
      at(d_gain.view(), 0, i) += at(d, t, i) * normal;
      at(d_bias.view(), 0, i) += at(d, t, i);
    }
  }
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
