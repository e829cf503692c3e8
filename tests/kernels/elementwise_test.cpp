// What is done element by element: sums, conversions, residuals with dropout, activations.

#include "matrix.h"

#include "tests/reference/reference_backend.h"

namespace headwater::kernels {
namespace {

template <class From, class To>
void adds(const Size& size) {
  Matrix<From> x(size, 1);
  Matrix<To> y(size, 2), z(size, 0);
  ReferenceBackend reference;
  reference.run(op::Add{x.view(), y.view()});
  add<From, To>(x, y, size.rows, size.columns, nullptr);
  y.expect(1.0, 0x1p-20);
  reference.run(op::Copy{x.view(), z.view()});
  copy<From, To>(x, z, size.rows, size.columns, nullptr);
  z.expect();
}

TEST(Kernels, SumsAndConversions) {
  in_every_mode([] {
    for (const Size& size : kSizes) {
      SCOPED_TRACE(::testing::Message() << size);
      adds<float, float>(size);
      adds<float, bf16>(size);
      adds<bf16, float>(size);
      adds<bf16, bf16>(size);
    }
  });
}

template <class From, class To>
void converts_doubles() {
  constexpr std::int64_t kCount = 300;  // more than a block's threads
  std::vector<From> from(kCount, From(-2.0F));
  std::vector<To> to(kCount, To(3.0F));
  from[0] = From(1.5F), to[0] = To(0.25F);
  const DeviceArray<From> x(from);
  const DeviceArray<To> y(to), z(kCount);
  add<From, To>({x.data(), kCount}, {y.data(), kCount}, 1, kCount, nullptr);
  copy<From, To>({x.data(), 1}, {z.data(), 1}, kCount, 1, nullptr);
  const std::vector<To> sums = y.host(), copies = z.host();
  for (std::size_t i = 0; i < kCount; ++i) {
    EXPECT_EQ(static_cast<float>(sums[i]), i == 0 ? 1.75F : 1.0F);
    EXPECT_EQ(static_cast<float>(copies[i]), i == 0 ? 1.5F : -2.0F);
  }
}

TEST(Kernels, DoublesAreConverted) {
  in_every_mode([] {
    converts_doubles<float, double>();
    converts_doubles<bf16, double>();
    converts_doubles<double, float>();
    converts_doubles<double, bf16>();
    converts_doubles<double, double>();

    const double third = 1.0 / 3.0;
    DeviceArray<double> wide(std::vector<double>{third, 2.0}), sum(std::vector<double>{1.0, 1e-12});
    DeviceArray<float> narrow(2);
    copy<double, float>({wide.data(), 2}, {narrow.data(), 2}, 1, 2, nullptr);
    EXPECT_EQ(narrow.host(), (std::vector<float>{static_cast<float>(third), 2.0F}));
    add<double, double>({wide.data(), 2}, {sum.data(), 2}, 1, 2, nullptr);
    EXPECT_EQ(sum.host(), (std::vector<double>{1.0 + third, 2.0 + 1e-12}));
  });
}

// ---- dropout ----

struct DropoutCase {
  double probability;
  std::int64_t samples, sequence, first_row;  // rows are tokens first_row … of these samples
};

// Keys of three samples; the device's and the reference's description of one mask.
struct Masks {
  Integers keys{{1234567, -89, 5, 77, -1, 0}};
  headwater::Dropout reference;
  RowDropout device;

  explicit Masks(double probability, std::int64_t sequence, std::int64_t first_row) {
    constexpr std::uint64_t kSite = 0x123456789ABCDEFULL;
    reference = {probability, kSite, keys.view({3, 2}), sequence, first_row};
    if (probability > 0.0) {
      device = {{keys.data(), kSite, reference.threshold() << 16U, static_cast<float>(reference.scale())},
                sequence,
                first_row};
    }
  }
};

TEST(Kernels, ResidualSumsWithDropout) {
  for_sizes(kSizes, [](const Size& size, auto type) {
    using T = decltype(type);
    for (const double probability : {0.0, 0.25}) {
      // All rows in one sample; and rows that end one sample, fill the next and begin a third.
      for (const std::int64_t sequence : {size.rows + 2, (size.rows + 2) / 2}) {
        Masks masks(probability, sequence, 1);
        Matrix<T> branch(size, 1), x(size, 2), out(size, 0), d_branch(size, 0);
        ReferenceBackend reference;
        reference.run(op::ResidualAdd{branch.view(), x.view(), masks.reference, out.view()});
        residual_add<T>(branch, x, masks.device, out, size.rows, size.columns, nullptr);
        out.expect(is_float(type) ? 2.0 : 1.01, is_float(type) ? 1.0 : 0x1p-10);
        if (probability == 0.0) continue;
        reference.run(op::DropoutBackward{x.view(), masks.reference, d_branch.view()});
        dropout_backward<T>(x, masks.device, d_branch, size.rows, size.columns, nullptr);
        d_branch.expect(1.01);
      }
    }
  });
}

TEST(Kernels, ResidualSumInPlace) {
  in_every_mode([] {
    const Size size{5, 40};
    Matrix<float> branch(size, 1), x(size, 2);
    ReferenceBackend().run(op::ResidualAdd{branch.view(), x.view(), {}, x.view()});
    residual_add<float>(branch, x, {}, x, size.rows, size.columns, nullptr);
    x.expect(1.0, 0x1p-20);
  });
}

// ---- activations ----

TEST(Kernels, Swiglu) {
  for_sizes(kSizes, [](const Size& size, auto type) {
    using T = decltype(type);
    const Size wide{size.rows, 2 * size.columns, size.gap, size.lead};
    Matrix<T> x(wide, 1, 12.0), d_out(size, 2), out(size, 0), dx(wide, 0);
    ReferenceBackend reference;
    reference.run(op::Swiglu{x.view(), out.view()});
    swiglu<T>(x, out, size.rows, size.columns, nullptr);
    out.expect(is_float(type) ? 24.0 : 1.0, 0x1p-8);
    reference.run(op::SwigluBackward{d_out.view(), x.view(), dx.view()});
    swiglu_backward<T>(d_out, x, dx, size.rows, size.columns, nullptr);
    dx.expect(is_float(type) ? 24.0 : 1.0, 1.0);
  });
}

TEST(Kernels, SwigluFarFromZero) {
  in_every_mode([] {
    Matrix<float> x({1, 8}, {-200.0, 200.0, -90.0, 0.0, 2.0, 2.0, 2.0, 2.0}), out({1, 4}, 0);
    ReferenceBackend().run(op::Swiglu{x.view(), out.view()});
    swiglu<float>(x, out, 1, 4, nullptr);
    out.expect(4.0, 0x1p-20);
  });
}

double activation_value(Activation which, double x) {
  switch (which) {
    case Activation::relu: return x > 0.0 ? x : 0.0;
    case Activation::gelu: return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
    case Activation::gelu_tanh:
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
  }
  return std::nan("");
}

TEST(Kernels, Activations) {
  for_sizes(kSizes, [](const Size& size, auto type) {
    using T = decltype(type);
    for (const Activation which : {Activation::relu, Activation::gelu, Activation::gelu_tanh}) {
      Matrix<T> x(size, 1, 6.0), d_out(size, 2), out(size, 0), dx(size, 0);
      const std::vector<double> at = x.reference(), d = d_out.reference();
      for (std::size_t i = 0; i < at.size(); ++i) {
        static_cast<double*>(out.view().data)[i] = activation_value(which, at[i]);
        constexpr double kStep =
            1e-5;  // the slope by central differences; no test value is that close to relu's kink
        const double slope =
            (activation_value(which, at[i] + kStep) - activation_value(which, at[i] - kStep)) / (2 * kStep);
        static_cast<double*>(dx.view().data)[i] = slope * d[i];
      }
      activation<T>(which, x, out, size.rows, size.columns, nullptr);
      out.expect(is_float(type) ? 24.0 : 1.0, 0.25);
      activation_backward<T>(which, d_out, x, dx, size.rows, size.columns, nullptr);
      dx.expect(is_float(type) ? 24.0 : 1.0, 1.0);
    }
  });
}

}  // namespace
}  // namespace headwater::kernels
