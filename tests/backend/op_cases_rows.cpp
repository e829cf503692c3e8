// Ops that run row by row: norms, residuals, dropout, LFA, rotary embedding, activations.

#include "tests/backend/op_cases.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

namespace headwater::testing {
namespace {

struct Size {
  std::int64_t rows, columns, gap;
};

constexpr Size kSizes[] = {{1, 1, 0}, {1, 64, 0}, {3, 5, 3}, {9, 77, 0}, {6, 130, 6}, {4, 2050, 2}};

std::string describe(const Size& size) {
  return fmt::format("[{}, {}] gap {}", size.rows, size.columns, size.gap);
}

constexpr double kEpsilon = 1e-6;

// Which norm the arguments of an op describe.
enum class Kind { rms, layer };

std::string describe(Kind kind) { return kind == Kind::rms ? "" : ", LayerNorm"; }

// The arguments of a norm of rows of that shape. Its statistics go by the rows as they were rounded to the
// compute dtype: where the op makes them, half a unit of bf16, which is 2^15 units of f32, lies between those
// of one backend and another's.
NormArguments norm_arguments(OpCase& c, Kind kind, const Shape& shape, double statistics_units) {
  const std::int64_t rows = shape[0], columns = shape[1];
  const auto terms = static_cast<double>(columns);
  NormArguments norm;
  norm.gain = c.input(Role::compute, {columns});
  norm.epsilon = kEpsilon;
  // A result whose terms cancel is as exact as they are.
  const double floor = kind == Kind::layer ? 1.0 : 0.0;
  norm.y = c.output(Role::compute, shape, {.units = 1.5, .terms = terms, .floor = floor});
  norm.rstd = c.output(Role::accumulate, {rows}, {.units = statistics_units, .terms = terms});
  if (kind == Kind::rms) return norm;
  norm.bias = c.input(Role::compute, {columns});
  norm.mean = c.output(Role::accumulate, {rows}, {.units = statistics_units, .terms = terms, .floor = 1.0});
  return norm;
}

std::vector<OpCase> norm_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Kind kind : {Kind::rms, Kind::layer})
    for (const Size& size : kSizes) {
      OpCase c(describe(size) + describe(kind), p);
      c.gap = size.gap;
      const Shape shape{size.rows, size.columns};
      const TensorView x = c.input(Role::compute, shape, 3.0);
      c.set_op(op::Norm{.x = x, .norm = norm_arguments(c, kind, shape, 1.5)});
      cases.push_back(std::move(c));
    }
  // Rows that lie far from zero beside their width.
  OpCase c("far from zero, LayerNorm", p);
  std::vector<double> values;
  for (int i = 0; i < 3 * 200; ++i) values.push_back(rounded(c.uniform(17.0, 23.0), p.compute));
  const TensorView x = c.values(Role::compute, {3, 200}, values);
  op::Norm far{.x = x, .norm = norm_arguments(c, Kind::layer, {3, 200}, 1.5)};
  if (p.compute != DType::bf16) c.operands[number_of(far.norm.y)].tolerance.floor = 20.0;
  c.set_op(far);
  cases.push_back(std::move(c));
  return cases;
}

// Mean (0 for RMSNorm) and rstd of each row, as the norm's forward gives them.
struct Statistics {
  std::vector<double> mean, rstd;
};

Statistics statistics_of(Kind kind, const std::vector<double>& x, const Size& size) {
  Statistics all;
  const auto columns = static_cast<double>(size.columns);
  for (auto row = x.begin(); row != x.end(); row += size.columns) {
    double mean = 0.0, squares = 0.0;
    if (kind == Kind::layer) mean = std::accumulate(row, row + size.columns, 0.0) / columns;
    for (auto value = row; value != row + size.columns; ++value) squares += std::pow(*value - mean, 2);
    all.mean.push_back(mean);
    all.rstd.push_back(1.0 / std::sqrt(squares / columns + kEpsilon));
  }
  return all;
}

enum class Addend { none, dx, another };
constexpr const char* kAddends[] = {"", ", added", ", addend of its own"};

// Which of a norm's parameters are trained.
struct Trained {
  bool gain = true, bias = true;
};

std::string describe(const Trained& trained) {
  if (trained.gain && trained.bias) return "";
  if (trained.gain) return ", bias not trained";
  return trained.bias ? ", gain not trained" : ", not trained";
}

OpCase norm_backward_case(Precision p, Kind kind, const Size& size, Addend addend, const Trained& trained) {
  OpCase c(describe(size) + kAddends[static_cast<std::size_t>(addend)] + describe(kind) + describe(trained),
           p);
  c.gap = size.gap;
  const Shape shape{size.rows, size.columns};
  // A LayerNorm's row of one column is a difference of equals, times an rstd of 1/√ε.
  const double floor = kind == Kind::layer && size.columns == 1 ? 1.0 / std::sqrt(kEpsilon) : 1.0;
  const Tolerance tolerance{.units = 1.0, .terms = static_cast<double>(size.columns), .floor = floor};
  const Tolerance of_sums{.units = 1.0, .terms = static_cast<double>(size.rows), .floor = 1.0};
  op::NormBackward backward;
  backward.dy = c.input(Role::compute, shape);
  backward.x = c.input(Role::compute, shape, 3.0);
  const Statistics statistics = statistics_of(kind, c.operands[number_of(backward.x)].values, size);
  backward.norm.gain = c.input(Role::compute, {size.columns});
  backward.norm.rstd = c.values(Role::accumulate, {size.rows}, statistics.rstd);
  backward.dx = addend == Addend::dx ? c.updated(Role::compute, shape, tolerance)
                                     : c.output(Role::compute, shape, tolerance);
  if (addend == Addend::dx) backward.addend = backward.dx;
  if (addend == Addend::another) backward.addend = c.input(Role::compute, shape);
  if (trained.gain) backward.norm.d_gain = c.updated(Role::accumulate, {size.columns}, of_sums);
  if (kind == Kind::layer) {
    backward.norm.mean = c.values(Role::accumulate, {size.rows}, statistics.mean);
    if (trained.bias) backward.norm.d_bias = c.updated(Role::accumulate, {size.columns}, of_sums);
  }
  c.set_op(backward);
  return c;
}

std::vector<OpCase> norm_backward_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Kind kind : {Kind::rms, Kind::layer})
    for (const Size& size : kSizes)
      for (const Addend addend : {Addend::none, Addend::dx, Addend::another})
        cases.push_back(norm_backward_case(p, kind, size, addend, {}));
  for (const Size& size : kSizes) {
    cases.push_back(norm_backward_case(p, Kind::rms, size, Addend::dx, {.gain = false}));
    for (const Trained& trained :
         {Trained{.gain = false}, Trained{.bias = false}, Trained{.gain = false, .bias = false}})
      cases.push_back(norm_backward_case(p, Kind::layer, size, Addend::dx, trained));
  }
  return cases;
}

// ---- residual and dropout: two samples where dropout is on and rows allow

struct DropoutCase {
  Size size;
  double probability;
};

std::vector<DropoutCase> dropout_sizes(bool with_off) {
  std::vector<DropoutCase> all;
  for (const Size& size : kSizes)
    for (const double probability : {0.0, 0.1, 0.75})
      if (with_off || probability > 0.0) all.push_back({size, probability});
  return all;
}

std::int64_t samples_of(const Size& size) { return size.rows % 2 == 0 ? 2 : 1; }

std::string describe(const DropoutCase& d) {
  return fmt::format("{} dropout {}", describe(d.size), d.probability);
}

std::vector<OpCase> residual_add_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const DropoutCase& d : dropout_sizes(true)) {
    OpCase c(describe(d), p);
    c.gap = d.size.gap;
    const Shape shape{d.size.rows, d.size.columns};
    c.set_op(op::ResidualAdd{
        .branch = c.input(Role::compute, shape),
        .x = c.input(Role::compute, shape),
        .dropout = {d.probability, 0x123456789ABCDEFULL, dropout_keys(c, samples_of(d.size))},
        .out = c.output(Role::compute, shape, {.units = 0.5}),
    });
    cases.push_back(std::move(c));
  }
  // A token shard: the last rows of sample 0, all of sample 1, the first of sample 2.
  OpCase c("a shard across samples", p);
  c.set_op(op::ResidualAdd{
      .branch = c.input(Role::compute, {11, 6}),
      .x = c.input(Role::compute, {11, 6}),
      .dropout = {0.5, 11, dropout_keys(c, 3), 7, 5},
      .out = c.output(Role::compute, {11, 6}, {.units = 0.5}),
  });
  cases.push_back(std::move(c));
  return cases;
}

std::vector<OpCase> residual_norm_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Kind kind : {Kind::rms, Kind::layer})
    for (const DropoutCase& d : dropout_sizes(true)) {
      OpCase c(describe(d) + describe(kind), p);
      c.gap = d.size.gap;
      const Shape shape{d.size.rows, d.size.columns};
      op::ResidualNorm both;
      both.sum.branch = c.input(Role::compute, shape);
      both.sum.x = c.input(Role::compute, shape);
      both.sum.dropout = {d.probability, 7, dropout_keys(c, samples_of(d.size))};
      both.sum.out = c.output(Role::compute, shape, {.units = 0.5});
      both.norm = norm_arguments(c, kind, shape, p.compute == DType::bf16 ? 0x1p15 : 1.0);
      c.set_op(both);
      cases.push_back(std::move(c));
    }
  return cases;
}

std::vector<OpCase> dropout_backward_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const DropoutCase& d : dropout_sizes(false)) {
    OpCase c(describe(d), p);
    c.gap = d.size.gap;
    const Shape shape{d.size.rows, d.size.columns};
    c.set_op(op::DropoutBackward{
        .d_out = c.input(Role::compute, shape),
        .dropout = {d.probability, 3ULL << 40, dropout_keys(c, samples_of(d.size))},
        .d_branch = c.output(Role::compute, shape, {.units = 0.5}),
    });
    cases.push_back(std::move(c));
  }
  return cases;
}

// ---- LFA

struct LfaCase {
  std::int64_t samples, sequence, columns, offset;
  bool before, bias, residual;
};

constexpr LfaCase kLfaCases[] = {
    {1, 1, 1, 0, false, false, false},   {1, 1, 8, 5, true, true, false},
    {1, 9, 24, 0, false, true, true},    {2, 7, 33, 0, true, true, true},
    {1, 30, 600, 0, false, false, true}, {1, 17, 40, 64, true, true, false},
    {3, 5, 6, 0, false, true, false},
};

std::string describe(const LfaCase& l, std::int64_t gap) {
  return fmt::format("B {} S {} N {}, offset {}, {}{}{}gap {}", l.samples, l.sequence, l.columns, l.offset,
                     l.before ? "before, " : "", l.bias ? "bias, " : "", l.residual ? "residual, " : "", gap);
}

// Starts of documents; where rows before the tensors exist, the first document reaches into them.
TensorView lfa_starts(OpCase& c, const LfaCase& l) {
  std::vector<double> starts = document_starts(c, l.samples, l.sequence, l.offset);
  if (l.before)
    for (std::size_t t = 0; t < starts.size() && starts[t] == static_cast<double>(l.offset); ++t)
      starts[t] = static_cast<double>(l.offset - 2);
  return c.values(Role::index, {l.samples * l.sequence}, starts);
}

// The operands that the case leaves out are drawn too.
op::LfaTaps lfa_taps(OpCase& c, const LfaCase& l) {
  const std::int64_t rows = l.samples * l.sequence;
  op::LfaTaps taps;
  taps.products = c.input(Role::compute, {rows, 2 * l.columns});
  taps.borders = {lfa_starts(c, l), l.offset};
  taps.samples = l.samples;
  const TensorView before = c.input(Role::compute, {l.samples, l.columns});
  const TensorView bias = c.input(Role::compute, {l.columns});
  const TensorView residual = c.input(Role::compute, {rows, l.columns});
  if (l.before) taps.before = before;
  if (l.bias) taps.bias = bias;
  if (l.residual) taps.residual = residual;
  taps.out = c.output(Role::compute, {rows, l.columns}, {.units = 0.5, .floor = 1.0});
  return taps;
}

std::vector<OpCase> lfa_taps_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const LfaCase& l : kLfaCases)
    for (const std::int64_t gap : {0, 7}) {
      OpCase c(describe(l, gap), p);
      c.gap = gap;
      c.set_op(lfa_taps(c, l));
      cases.push_back(std::move(c));
    }
  return cases;
}

std::vector<OpCase> lfa_taps_norm_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Kind kind : {Kind::rms, Kind::layer})
    for (const LfaCase& l : kLfaCases)
      for (const std::int64_t gap : {0, 7}) {
        OpCase c(describe(l, gap) + describe(kind), p);
        c.gap = gap;
        op::LfaTapsNorm both;
        both.taps = lfa_taps(c, l);
        both.norm = norm_arguments(c, kind, {l.samples * l.sequence, l.columns},
                                   p.compute == DType::bf16 ? 0x1p15 : 8.0);
        c.set_op(both);
        cases.push_back(std::move(c));
      }
  return cases;
}

std::vector<OpCase> lfa_taps_backward_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const LfaCase& l : kLfaCases)
    for (const std::int64_t gap : {0, 7}) {
      OpCase c(describe(l, gap), p);
      c.gap = gap;
      const std::int64_t rows = l.samples * l.sequence;
      op::LfaTapsBackward backward;
      backward.d_out = c.input(Role::compute, {rows, l.columns});
      backward.borders = {lfa_starts(c, l), l.offset};
      backward.samples = l.samples;
      backward.d_products = c.output(Role::compute, {rows, 2 * l.columns}, {.units = 0.0});
      if (l.before) backward.d_before = c.output(Role::compute, {l.samples, l.columns}, {.units = 0.0});
      if (l.bias)
        backward.d_bias =
            c.updated(Role::accumulate, {l.columns}, {.terms = static_cast<double>(rows), .floor = 1.0});
      c.set_op(backward);
      cases.push_back(std::move(c));
    }
  return cases;
}

// ---- rotary embedding, activations

std::vector<OpCase> rotary_cases(Precision p) {
  struct RotaryCase {
    std::int64_t rows, heads, head_dim, turned, gap;
  };
  std::vector<OpCase> cases;
  for (const RotaryCase& r : {RotaryCase{1, 1, 2, 2, 0},
                              {5, 3, 8, 8, 0},
                              {7, 2, 96, 96, 50},
                              {6, 1, 256, 128, 3},
                              {4, 12, 64, 64, 768}})
    for (const bool inverse : {false, true}) {
      OpCase c(fmt::format("[{}, {}, {}] {} turned{}", r.rows, r.heads, r.head_dim, r.turned,
                           inverse ? " back" : ""),
               p);
      constexpr std::int64_t kPositions = 20;
      std::vector<double> positions, table;
      for (std::int64_t t = 0; t < r.rows; ++t)
        positions.push_back(static_cast<double>(c.integer(0, kPositions - 1)));
      for (std::int64_t i = 0; i < kPositions * r.turned / 2; ++i) {
        const double angle = c.uniform(-4.0, 4.0);
        table.push_back(std::cos(angle));
        table.push_back(std::sin(angle));
      }
      op::Rotary rotary;
      rotary.position = c.values(Role::index, {r.rows}, positions);
      rotary.table = c.values(Role::accumulate, {kPositions, r.turned / 2, 2}, table);
      rotary.inverse = inverse;
      c.gap = r.gap;
      rotary.x = c.updated(Role::compute, {r.rows, r.heads, r.head_dim}, {.units = 0.5, .floor = 1.0});
      c.set_op(rotary);
      cases.push_back(std::move(c));
    }
  return cases;
}

std::vector<OpCase> swiglu_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Size& size : kSizes) {
    OpCase c(describe(size), p);
    c.gap = size.gap;
    c.set_op(op::Swiglu{
        .x = c.input(Role::compute, {size.rows, 2 * size.columns}, 12.0),
        .out = c.output(Role::compute, {size.rows, size.columns}, {.units = 0.5}),
    });
    cases.push_back(std::move(c));
  }
  return cases;
}

std::vector<OpCase> swiglu_backward_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Size& size : kSizes) {
    OpCase c(describe(size), p);
    c.gap = size.gap;
    c.set_op(op::SwigluBackward{
        .d_out = c.input(Role::compute, {size.rows, size.columns}),
        .x = c.input(Role::compute, {size.rows, 2 * size.columns}, 12.0),
        .dx = c.output(Role::compute, {size.rows, 2 * size.columns}, {.units = 1.0, .floor = 1.0}),
    });
    cases.push_back(std::move(c));
  }
  return cases;
}

constexpr std::pair<op::ActivationFunction, const char*> kFunctions[] = {
    {op::ActivationFunction::relu, "relu"},
    {op::ActivationFunction::gelu, "gelu"},
    {op::ActivationFunction::gelu_tanh, "gelu_tanh"}};

// 1 + erf and 1 + tanh cancel left of 0, where the result is small beside x.
Tolerance activation_tolerance(Precision p, double floor) {
  return {.units = p.compute == DType::bf16 ? 1.0 : 20.0, .floor = floor};
}

std::vector<OpCase> activation_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const auto& [function, name] : kFunctions)
    for (const Size& size : kSizes) {
      OpCase c(fmt::format("{} {}", name, describe(size)), p);
      c.gap = size.gap;
      c.set_op(op::Activation{
          .function = function,
          .x = c.input(Role::compute, {size.rows, size.columns}, 6.0),
          .out = c.output(Role::compute, {size.rows, size.columns}, activation_tolerance(p, 0.25)),
      });
      cases.push_back(std::move(c));
    }
  return cases;
}

std::vector<OpCase> activation_backward_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const auto& [function, name] : kFunctions)
    for (const Size& size : kSizes) {
      OpCase c(fmt::format("{} {}", name, describe(size)), p);
      c.gap = size.gap;
      c.set_op(op::ActivationBackward{
          .function = function,
          .d_out = c.input(Role::compute, {size.rows, size.columns}),
          .x = c.input(Role::compute, {size.rows, size.columns}, 6.0),
          .dx = c.output(Role::compute, {size.rows, size.columns}, activation_tolerance(p, 1.0)),
      });
      cases.push_back(std::move(c));
    }
  return cases;
}

}  // namespace

std::vector<OpCases> row_ops() {
  return {{op::Norm::kName, norm_cases},
          {op::NormBackward::kName, norm_backward_cases},
          {op::ResidualAdd::kName, residual_add_cases},
          {op::ResidualNorm::kName, residual_norm_cases},
          {op::DropoutBackward::kName, dropout_backward_cases},
          {op::LfaTaps::kName, lfa_taps_cases},
          {op::LfaTapsBackward::kName, lfa_taps_backward_cases},
          {op::LfaTapsNorm::kName, lfa_taps_norm_cases},
          {op::Rotary::kName, rotary_cases},
          {op::Swiglu::kName, swiglu_cases},
          {op::SwigluBackward::kName, swiglu_backward_cases},
          {op::Activation::kName, activation_cases},
          {op::ActivationBackward::kName, activation_backward_cases}};
}

}  // namespace headwater::testing
