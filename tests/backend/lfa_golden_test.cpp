// Localized filtering put together from ops as a layer does it, against numbers that were made by an
// independent double-precision program (eighths in, all gradients confirmed by central differences).

#include "headwater/backend/cpu_backend.h"
#include "tests/reference/reference_backend.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace headwater {
namespace {

using Numbers = std::vector<double>;

// S = 4, H = 4, C = 2. W1 and W2 are [tap, out, in]; the products want [2·out, in], which is the same memory.
const Numbers kX = {-.25, .125,  -.375, 0,    .375,  -.125, .25,  -.25,
                    .125, -.375, 0,     .375, -.125, .25,   -.25, .125};
const Numbers kW1 = {-.125, -.375, .25, 0,    -.25, .375, .125,  -.125,
                     -.375, .25,   0,   -.25, .375, .125, -.125, -.375};
const Numbers kB1 = {-.25, 0};
const Numbers kW2 = {0,     -.375, .125, -.25, .25,   -.125, .375, 0,
                     -.375, .125,  -.25, .25,  -.125, .375,  0,    -.375};
const Numbers kB2 = {-.125, .25, -.25, .125};
const Numbers kGain = {.8125, .875, .9375, 1};
constexpr double kEpsilon = 1e-6;

const Numbers kO1 = {-.125, -.03125, -.46875, .25, -.421875, -.21875, -.046875, -.25};
const Numbers kZ = {-.33203125, .3984375,  -.62109375, .13671875, .46875,     .296875,
                    .125,       -.265625,  .03710938,  -.1953125, -.42773438, .40625,
                    -.18164062, .45117188, -.66601562, .18554688};
const Numbers kY = {-.65747529, .84966038,  -1.41907563, .33320015,  1.21344655,  .82763277,
                    .37336817,  -.84630118, .09686966,   -.54905883, -1.28832732, 1.30519127,
                    -.34917863, .93403118,  -1.47729422, .43900043};
// For dy = 1 everywhere.
const Numbers kDx = {1.32096802, 1.53595894, 1.6022775,  2.84701352, -.30912622, 1.43263005,
                     2.56674408, 4.81995899, 2.45387079, 3.17151629, 2.34559221, 4.02244137,
                     2.57515271, 2.053345,   1.72585426, 2.64768497};
const Numbers kDb1 = {.56261319, -3.06648596};
const Numbers kDb2 = {6.72196131, 9.21590752, 8.27704022, 13.01457009};
const Numbers kDgain = {.3737382, 2.35687486, -4.06541759, 1.23109066};
const Numbers kDw1 = {-.63012405, .76331628, -.5768075, -.48819209, .24884883, -.35711338,
                      .56209865,  .44344615, .40939678, -.31123234, .33907013, -.63012405,
                      -.84349115, .68663503, -.4601804, .24884883};
const Numbers kDw2 = {-2.09593224, .24511368,  -2.40985593, .08225264,  -2.25528408, .16231522,
                      -3.29812498, .24137156,  -1.73501685, -.89921169, -2.28950887, -.83765486,
                      -2.50165763, -.42589899, -3.9806404,  -.4445967};

// A dense tensor of T that owns its memory.
template <class T>
struct Array {
  std::vector<T> values;
  Shape shape;

  explicit Array(Shape dims) : values(static_cast<std::size_t>(dims.elements())), shape(dims) {}
  Array(Shape dims, const Numbers& numbers) : values(numbers.begin(), numbers.end()), shape(dims) {}
  operator TensorView() { return {values.data(), dtype_of<T>(), shape}; }

  void expect(const std::string& name, const Numbers& expected, double tolerance) const {
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_NEAR(static_cast<double>(values[i]), expected[i], tolerance) << name << " element " << i;
  }
};

template <class T>
void expect_golden(Backend& ops, double tolerance) {
  std::vector<std::int32_t> starts(4, 0);
  const Borders borders{TensorView(starts.data(), DType::i32, {4}), 0};
  Array<T> x({4, 4}, kX), w1({4, 4}, kW1), b1({2}, kB1), w2({8, 2}, kW2), b2({4}, kB2), gain({4}, kGain);

  Array<T> products1({4, 4}), o1({4, 2}), products2({4, 8}), z({4, 4}), y({4, 4}), rstd({4});
  ops.run(op::Linear{.x = x, .w = w1, .y = products1});
  ops.run(op::LfaTaps{.products = products1, .borders = borders, .bias = b1, .out = o1});
  ops.run(op::Linear{.x = o1, .w = w2, .y = products2});
  ops.run(op::LfaTapsNorm{
      .taps = {.products = products2, .borders = borders, .bias = b2, .residual = x, .out = z},
      .norm = {.gain = gain, .epsilon = kEpsilon, .y = y, .rstd = rstd},
  });
  o1.expect("o1", kO1, tolerance);
  z.expect("z", kZ, tolerance);
  y.expect("y", kY, tolerance);

  Array<T> dy({4, 4}, Numbers(16, 1.0)), dz({4, 4}), d_products2({4, 8}), d_o1({4, 2}), d_products1({4, 4});
  Array<T> dw1({4, 4}), db1({2}), dw2({8, 2}), db2({4}), d_gain({4});
  ops.run(
      op::NormBackward{.dy = dy, .x = z, .dx = dz, .norm = {.gain = gain, .rstd = rstd, .d_gain = d_gain}});
  ops.run(op::LfaTapsBackward{.d_out = dz, .borders = borders, .d_products = d_products2, .d_bias = db2});
  ops.run(op::LinearInputGradient{.dy = d_products2, .w = w2, .dx = d_o1});
  ops.run(op::LinearWeightGradient{.dy = d_products2, .x = o1, .dw = dw2});
  ops.run(op::LfaTapsBackward{.d_out = d_o1, .borders = borders, .d_products = d_products1, .d_bias = db1});
  ops.run(op::LinearWeightGradient{.dy = d_products1, .x = x, .dw = dw1});
  // dz is the residual's gradient already.
  ops.run(op::LinearInputGradient{.dy = d_products1, .w = w1, .dx = dz, .accumulate = true});
  dz.expect("dx", kDx, tolerance);
  dw1.expect("dW1", kDw1, tolerance);
  db1.expect("db1", kDb1, tolerance);
  dw2.expect("dW2", kDw2, tolerance);
  db2.expect("db2", kDb2, tolerance);
  d_gain.expect("dg", kDgain, tolerance);
}

// The printed numbers have eight decimals.
TEST(LfaGolden, Reference) {
  ReferenceBackend ops;
  expect_golden<double>(ops, 1e-8);
}

TEST(LfaGolden, CpuInF32) {
  const auto ops = make_cpu_backend({2, false});
  std::vector<std::int32_t> workspace(1024);
  ops->use_workspace(TensorView(workspace.data(), DType::i32, {1024}));
  expect_golden<float>(*ops, 1e-5);
}

}  // namespace
}  // namespace headwater
