// Linear layers and the embedding.

#include "tests/backend/op_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace headwater::testing {
namespace {

struct Size {
  std::int64_t t, n, k;
};

// The last ones pass a side of the tiles into which products of bf16 are cut.
constexpr Size kSizes[] = {{1, 1, 1},    {1, 7, 5},     {3, 1, 4},      {4, 6, 1},       {17, 33, 65},
                           {64, 48, 32}, {2, 130, 257}, {520, 5, 7},    {5, 1030, 7},    {7, 5, 520},
                           {770, 2, 3},  {3, 2, 1100},  {769, 2049, 1}, {1, 2049, 1025}, {3, 800, 2}};

// Products of terms in [−1, 1] make running sums of this size.
double running_sum(std::int64_t terms) { return std::max(1.0, std::sqrt(static_cast<double>(terms)) / 3.0); }

// Large sizes run once.
bool skipped(const Size& size, std::int64_t gap) { return gap == 0 && size.t * size.n * size.k > 1 << 20; }

std::string describe(const Size& size, std::int64_t gap) {
  return fmt::format("T {} N {} K {}, gap {}", size.t, size.n, size.k, gap);
}

std::vector<OpCase> linear_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Size& size : kSizes)
    for (const std::int64_t gap : {0, 11})
      for (const Role out : {Role::compute, Role::accumulate}) {
        if (skipped(size, gap)) continue;
        OpCase c("linear", describe(size, gap) + (out == Role::compute ? "" : ", accumulate dtype out"), p);
        c.gap = gap;
        const auto x = c.input("x", Role::compute, {size.t, size.k}),
                   w = c.input("w", Role::compute, {size.n, size.k});
        const auto y = c.output("y", out, {size.t, size.n},
                                {.terms = static_cast<double>(size.k), .floor = running_sum(size.k)});
        c.run = [=](Backend& backend, const Views& v) { backend.linear(v[x], {v[w], {}}, v[y]); };
        cases.push_back(std::move(c));
      }
  return cases;
}

std::vector<OpCase> linear_input_gradient_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Size& size : kSizes)
    for (const std::int64_t gap : {0, 11})
      for (const bool accumulate : {false, true}) {
        if (skipped(size, gap)) continue;
        OpCase c("linear_input_gradient", describe(size, gap) + (accumulate ? ", added" : ""), p);
        c.gap = gap;
        const auto dy = c.input("dy", Role::compute, {size.t, size.n}),
                   w = c.input("w", Role::compute, {size.n, size.k});
        const Tolerance tolerance{.terms = static_cast<double>(size.n), .floor = running_sum(size.n)};
        const auto dx = accumulate ? c.updated(c.input("dx", Role::compute, {size.t, size.k}), tolerance)
                                   : c.output("dx", Role::compute, {size.t, size.k}, tolerance);
        c.run = [=](Backend& backend, const Views& v) {
          backend.linear_input_gradient(v[dy], {v[w], {}}, v[dx], accumulate);
        };
        cases.push_back(std::move(c));
      }
  return cases;
}

std::vector<OpCase> linear_weight_gradient_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Size& size : kSizes)
    for (const std::int64_t gap : {0, 11}) {
      if (skipped(size, gap)) continue;
      OpCase c("linear_weight_gradient", describe(size, gap), p);
      c.gap = gap;
      const auto dy = c.input("dy", Role::compute, {size.t, size.n}),
                 x = c.input("x", Role::compute, {size.t, size.k});
      const auto dw = c.updated(c.input("dw", Role::accumulate, {size.n, size.k}),
                                {.terms = static_cast<double>(size.t), .floor = running_sum(size.t)});
      c.run = [=](Backend& backend, const Views& v) { backend.linear_weight_gradient(v[dy], v[x], v[dw]); };
      cases.push_back(std::move(c));
    }
  return cases;
}

// Tokens of a vocabulary of which rows [first, first + rows) are here; many repeat.
std::size_t tokens(OpCase& c, std::int64_t count, std::int64_t first, std::int64_t rows) {
  std::vector<double> ids;
  for (std::int64_t t = 0; t < count; ++t)
    ids.push_back(static_cast<double>(std::max<std::int64_t>(0, c.integer(first - 3, first + rows + 2))));
  return c.values("tokens", Role::index, {count}, ids);
}

std::vector<OpCase> embedding_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const std::int64_t columns : {1, 19, 64})
    for (const std::int64_t first : {0, 40}) {
      OpCase c("embedding", fmt::format("H {}, rows from {}", columns, first), p);
      c.gap = columns == 19 ? 5 : 0;
      const auto ids = tokens(c, 37, first, 11), table = c.input("table", Role::compute, {11, columns});
      const auto out = c.output("out", Role::compute, {37, columns}, {.units = 0.0});
      c.run = [=](Backend& backend, const Views& v) { backend.embedding(v[ids], v[table], first, v[out]); };
      cases.push_back(std::move(c));
    }
  return cases;
}

std::vector<OpCase> embedding_backward_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const std::int64_t columns : {1, 19, 64})
    for (const std::int64_t first : {0, 40}) {
      OpCase c("embedding_backward", fmt::format("H {}, rows from {}", columns, first), p);
      c.gap = columns == 19 ? 5 : 0;
      const auto ids = tokens(c, 37, first, 11), d_out = c.input("d_out", Role::compute, {37, columns});
      const auto d_table =
          c.updated(c.input("d_table", Role::accumulate, {11, columns}), {.terms = 37.0, .floor = 1.0});
      c.run = [=](Backend& backend, const Views& v) {
        backend.embedding_backward(v[ids], v[d_out], first, v[d_table]);
      };
      cases.push_back(std::move(c));
    }
  return cases;
}

}  // namespace

std::vector<OpCases> product_ops() {
  return {{"linear", linear_cases},
          {"linear_input_gradient", linear_input_gradient_cases},
          {"linear_weight_gradient", linear_weight_gradient_cases},
          {"embedding", embedding_cases},
          {"embedding_backward", embedding_backward_cases}};
}

}  // namespace headwater::testing
