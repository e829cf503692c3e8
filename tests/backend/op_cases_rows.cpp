// Ops that run row by row: norms, residuals, dropout, LFA, rotary embedding, SwiGLU.

#include "tests/backend/op_cases.h"

#include <fmt/format.h>

#include <cmath>

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

// y of a norm: the statistic's rounding counts too.
Tolerance norm_tolerance(std::int64_t columns) {
  return {.units = 1.5, .terms = static_cast<double>(columns)};
}

std::vector<OpCase> rms_norm_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Size& size : kSizes) {
    OpCase c("rms_norm", describe(size), p);
    c.gap = size.gap;
    const auto x = c.input("x", Role::compute, {size.rows, size.columns}, 3.0);
    const auto gain = c.input("gain", Role::compute, {size.columns});
    const auto y = c.output("y", Role::compute, {size.rows, size.columns}, norm_tolerance(size.columns));
    const auto rstd = c.output("rstd", Role::accumulate, {size.rows}, norm_tolerance(size.columns));
    c.run = [=](Backend& backend, const Views& v) {
      backend.rms_norm(v[x], v[gain], kEpsilon, v[y], v[rstd]);
    };
    cases.push_back(std::move(c));
  }
  return cases;
}

std::vector<OpCase> rms_norm_backward_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Size& size : kSizes)
    for (const bool accumulate : {false, true}) {
      OpCase c("rms_norm_backward", describe(size) + (accumulate ? ", added" : ""), p);
      c.gap = size.gap;
      const Shape shape{size.rows, size.columns};
      const auto dy = c.input("dy", Role::compute, shape), x = c.input("x", Role::compute, shape, 3.0);
      const auto gain = c.input("gain", Role::compute, {size.columns});
      std::vector<double> statistics;
      for (std::int64_t row = 0; row < size.rows; ++row) {
        double sum = 0.0;
        for (std::int64_t i = 0; i < size.columns; ++i)
          sum += std::pow(c.operands[x].values[static_cast<std::size_t>(row * size.columns + i)], 2);
        statistics.push_back(1.0 / std::sqrt(sum / static_cast<double>(size.columns) + kEpsilon));
      }
      const auto rstd = c.values("rstd", Role::accumulate, {size.rows}, statistics);
      const Tolerance tolerance{.units = 1.0, .terms = static_cast<double>(size.columns), .floor = 1.0};
      const auto dx = accumulate ? c.updated(c.input("dx", Role::compute, shape), tolerance)
                                 : c.output("dx", Role::compute, shape, tolerance);
      const auto d_gain = c.updated(c.input("d_gain", Role::accumulate, {size.columns}),
                                    {.units = 1.0, .terms = static_cast<double>(size.rows), .floor = 1.0});
      c.run = [=](Backend& backend, const Views& v) {
        backend.rms_norm_backward(v[dy], v[x], v[gain], v[rstd], v[dx], accumulate, v[d_gain]);
      };
      cases.push_back(std::move(c));
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
    OpCase c("residual_add", describe(d), p);
    c.gap = d.size.gap;
    const Shape shape{d.size.rows, d.size.columns};
    const auto branch = c.input("branch", Role::compute, shape), x = c.input("x", Role::compute, shape);
    const auto out = c.output("out", Role::compute, shape, {.units = 0.5});
    c.gap = 0;
    const auto keys = dropout_keys(c, samples_of(d.size));
    c.run = [=](Backend& backend, const Views& v) {
      backend.residual_add(v[branch], v[x], {d.probability, 0x123456789ABCDEFULL, v[keys]}, v[out]);
    };
    cases.push_back(std::move(c));
  }
  // A token shard: the last rows of sample 0, all of sample 1, the first of sample 2.
  OpCase c("residual_add", "a shard across samples", p);
  const auto branch = c.input("branch", Role::compute, {11, 6}), x = c.input("x", Role::compute, {11, 6});
  const auto out = c.output("out", Role::compute, {11, 6}, {.units = 0.5});
  const auto keys = dropout_keys(c, 3);
  c.run = [=](Backend& backend, const Views& v) {
    backend.residual_add(v[branch], v[x], {0.5, 11, v[keys], 7, 5}, v[out]);
  };
  cases.push_back(std::move(c));
  return cases;
}

std::vector<OpCase> residual_rms_norm_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const DropoutCase& d : dropout_sizes(true)) {
    OpCase c("residual_rms_norm", describe(d), p);
    c.gap = d.size.gap;
    const Shape shape{d.size.rows, d.size.columns};
    const auto branch = c.input("branch", Role::compute, shape), x = c.input("x", Role::compute, shape);
    const auto gain = c.input("gain", Role::compute, {d.size.columns});
    const auto out = c.output("out", Role::compute, shape, {.units = 0.5});
    const auto y = c.output("y", Role::compute, shape, norm_tolerance(d.size.columns));
    // The norm is that of `out` as rounded to the compute dtype: half a unit of bf16 is 2^15 of f32.
    const auto rstd = c.output(
        "rstd", Role::accumulate, {d.size.rows},
        {.units = p.compute == DType::bf16 ? 0x1p15 : 1.0, .terms = static_cast<double>(d.size.columns)});
    c.gap = 0;
    const auto keys = dropout_keys(c, samples_of(d.size));
    c.run = [=](Backend& backend, const Views& v) {
      backend.residual_rms_norm(v[branch], v[x], {d.probability, 7, v[keys]}, v[gain], kEpsilon, v[out], v[y],
                                v[rstd]);
    };
    cases.push_back(std::move(c));
  }
  return cases;
}

std::vector<OpCase> dropout_backward_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const DropoutCase& d : dropout_sizes(false)) {
    OpCase c("dropout_backward", describe(d), p);
    c.gap = d.size.gap;
    const Shape shape{d.size.rows, d.size.columns};
    const auto d_out = c.input("d_out", Role::compute, shape);
    const auto d_branch = c.output("d_branch", Role::compute, shape, {.units = 0.5});
    c.gap = 0;
    const auto keys = dropout_keys(c, samples_of(d.size));
    c.run = [=](Backend& backend, const Views& v) {
      backend.dropout_backward(v[d_out], {d.probability, 3ULL << 40, v[keys]}, v[d_branch]);
    };
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
std::size_t lfa_starts(OpCase& c, const LfaCase& l) {
  std::vector<double> starts = document_starts(c, l.samples, l.sequence, l.offset);
  if (l.before)
    for (std::size_t t = 0; t < starts.size() && starts[t] == static_cast<double>(l.offset); ++t)
      starts[t] = static_cast<double>(l.offset - 2);
  return c.values("start", Role::index, {l.samples * l.sequence}, starts);
}

struct LfaOperands {
  std::size_t products, start, before, bias, residual;
};

LfaOperands lfa_operands(OpCase& c, const LfaCase& l) {
  const std::int64_t rows = l.samples * l.sequence;
  return {c.input("products", Role::compute, {rows, 2 * l.columns}), lfa_starts(c, l),
          c.input("before", Role::compute, {l.samples, l.columns}),
          c.input("bias", Role::compute, {l.columns}), c.input("residual", Role::compute, {rows, l.columns})};
}

TensorView where(bool present, const TensorView& view) { return present ? view : TensorView(); }

std::vector<OpCase> lfa_taps_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const LfaCase& l : kLfaCases)
    for (const std::int64_t gap : {0, 7}) {
      OpCase c("lfa_taps", describe(l, gap), p);
      c.gap = gap;
      const LfaOperands o = lfa_operands(c, l);
      const auto out =
          c.output("out", Role::compute, {l.samples * l.sequence, l.columns}, {.units = 0.5, .floor = 1.0});
      c.run = [=](Backend& backend, const Views& v) {
        backend.lfa_taps(v[o.products], {v[o.start], l.offset}, l.samples, where(l.before, v[o.before]),
                         where(l.bias, v[o.bias]), where(l.residual, v[o.residual]), v[out]);
      };
      cases.push_back(std::move(c));
    }
  return cases;
}

std::vector<OpCase> lfa_taps_rms_norm_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const LfaCase& l : kLfaCases)
    for (const std::int64_t gap : {0, 7}) {
      OpCase c("lfa_taps_rms_norm", describe(l, gap), p);
      c.gap = gap;
      const LfaOperands o = lfa_operands(c, l);
      const Shape shape{l.samples * l.sequence, l.columns};
      const auto gain = c.input("gain", Role::compute, {l.columns});
      const auto z = c.output("z", Role::compute, shape, {.units = 0.5, .floor = 1.0});
      const auto y = c.output("y", Role::compute, shape, norm_tolerance(l.columns));
      // The norm is that of z as rounded to the compute dtype.
      const auto rstd = c.output(
          "rstd", Role::accumulate, {shape[0]},
          {.units = p.compute == DType::bf16 ? 0x1p15 : 8.0, .terms = static_cast<double>(l.columns)});
      c.run = [=](Backend& backend, const Views& v) {
        backend.lfa_taps_rms_norm(v[o.products], {v[o.start], l.offset}, l.samples,
                                  where(l.before, v[o.before]), where(l.bias, v[o.bias]),
                                  where(l.residual, v[o.residual]), v[gain], kEpsilon, v[z], v[y], v[rstd]);
      };
      cases.push_back(std::move(c));
    }
  return cases;
}

std::vector<OpCase> lfa_taps_backward_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const LfaCase& l : kLfaCases)
    for (const std::int64_t gap : {0, 7}) {
      OpCase c("lfa_taps_backward", describe(l, gap), p);
      c.gap = gap;
      const std::int64_t rows = l.samples * l.sequence;
      const auto d_out = c.input("d_out", Role::compute, {rows, l.columns}), start = lfa_starts(c, l);
      const auto d_products = c.output("d_products", Role::compute, {rows, 2 * l.columns}, {.units = 0.0});
      std::size_t d_before = 0, d_bias = 0;
      if (l.before) d_before = c.output("d_before", Role::compute, {l.samples, l.columns}, {.units = 0.0});
      if (l.bias)
        d_bias = c.updated(c.input("d_bias", Role::accumulate, {l.columns}),
                           {.terms = static_cast<double>(rows), .floor = 1.0});
      c.run = [=](Backend& backend, const Views& v) {
        backend.lfa_taps_backward(v[d_out], {v[start], l.offset}, l.samples, v[d_products],
                                  where(l.before, v[d_before]), where(l.bias, v[d_bias]));
      };
      cases.push_back(std::move(c));
    }
  return cases;
}

// ---- rotary embedding, SwiGLU

std::vector<OpCase> rotary_cases(Precision p) {
  struct Rotary {
    std::int64_t rows, heads, head_dim, turned, gap;
  };
  std::vector<OpCase> cases;
  for (const Rotary& r : {Rotary{1, 1, 2, 2, 0},
                          {5, 3, 8, 8, 0},
                          {7, 2, 96, 96, 50},
                          {6, 1, 256, 128, 3},
                          {4, 12, 64, 64, 768}})
    for (const bool inverse : {false, true}) {
      OpCase c("rotary",
               fmt::format("[{}, {}, {}] {} turned{}", r.rows, r.heads, r.head_dim, r.turned,
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
      const auto position = c.values("position", Role::index, {r.rows}, positions);
      const auto angles = c.values("table", Role::accumulate, {kPositions, r.turned / 2, 2}, table);
      c.gap = r.gap;
      const auto x =
          c.updated(c.input("x", Role::compute, {r.rows, r.heads, r.head_dim}), {.units = 0.5, .floor = 1.0});
      c.run = [=](Backend& backend, const Views& v) {
        backend.rotary(v[x], v[position], v[angles], inverse);
      };
      cases.push_back(std::move(c));
    }
  return cases;
}

std::vector<OpCase> swiglu_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Size& size : kSizes) {
    OpCase c("swiglu", describe(size), p);
    c.gap = size.gap;
    const auto x = c.input("x", Role::compute, {size.rows, 2 * size.columns}, 12.0);
    const auto out = c.output("out", Role::compute, {size.rows, size.columns}, {.units = 0.5});
    c.run = [=](Backend& backend, const Views& v) { backend.swiglu(v[x], v[out]); };
    cases.push_back(std::move(c));
  }
  return cases;
}

std::vector<OpCase> swiglu_backward_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Size& size : kSizes) {
    OpCase c("swiglu_backward", describe(size), p);
    c.gap = size.gap;
    const auto d_out = c.input("d_out", Role::compute, {size.rows, size.columns});
    const auto x = c.input("x", Role::compute, {size.rows, 2 * size.columns}, 12.0);
    const auto dx =
        c.output("dx", Role::compute, {size.rows, 2 * size.columns}, {.units = 1.0, .floor = 1.0});
    c.run = [=](Backend& backend, const Views& v) { backend.swiglu_backward(v[d_out], v[x], v[dx]); };
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace

std::vector<OpCases> row_ops() {
  return {{"rms_norm", rms_norm_cases},
          {"rms_norm_backward", rms_norm_backward_cases},
          {"residual_add", residual_add_cases},
          {"residual_rms_norm", residual_rms_norm_cases},
          {"dropout_backward", dropout_backward_cases},
          {"lfa_taps", lfa_taps_cases},
          {"lfa_taps_backward", lfa_taps_backward_cases},
          {"lfa_taps_rms_norm", lfa_taps_rms_norm_cases},
          {"rotary", rotary_cases},
          {"swiglu", swiglu_cases},
          {"swiglu_backward", swiglu_backward_cases}};
}

}  // namespace headwater::testing
