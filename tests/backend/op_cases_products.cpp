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
Tolerance tolerance_of_sum(std::int64_t terms) {
  return {.terms = static_cast<double>(terms),
          .floor = std::max(1.0, std::sqrt(static_cast<double>(terms)) / 3.0)};
}

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
        OpCase c(describe(size, gap) + (out == Role::compute ? "" : ", accumulate dtype out"), p);
        c.gap = gap;
        c.set_op(op::Linear{
            .x = c.input(Role::compute, {size.t, size.k}),
            .w = c.input(Role::compute, {size.n, size.k}),
            .y = c.output(out, {size.t, size.n}, tolerance_of_sum(size.k)),
        });
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
        OpCase c(describe(size, gap) + (accumulate ? ", added" : ""), p);
        c.gap = gap;
        const Tolerance tolerance = tolerance_of_sum(size.n);
        c.set_op(op::LinearInputGradient{
            .dy = c.input(Role::compute, {size.t, size.n}),
            .w = c.input(Role::compute, {size.n, size.k}),
            .dx = accumulate ? c.updated(Role::compute, {size.t, size.k}, tolerance)
                             : c.output(Role::compute, {size.t, size.k}, tolerance),
            .accumulate = accumulate,
        });
        cases.push_back(std::move(c));
      }
  return cases;
}

std::vector<OpCase> linear_weight_gradient_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Size& size : kSizes)
    for (const std::int64_t gap : {0, 11}) {
      if (skipped(size, gap)) continue;
      OpCase c(describe(size, gap), p);
      c.gap = gap;
      c.set_op(op::LinearWeightGradient{
          .dy = c.input(Role::compute, {size.t, size.n}),
          .x = c.input(Role::compute, {size.t, size.k}),
          .dw = c.updated(Role::accumulate, {size.n, size.k}, tolerance_of_sum(size.t)),
      });
      cases.push_back(std::move(c));
    }
  return cases;
}

// Tokens of a vocabulary of which rows [first, first + rows) are here; many repeat.
TensorView tokens(OpCase& c, std::int64_t count, std::int64_t first, std::int64_t rows) {
  std::vector<double> ids;
  for (std::int64_t t = 0; t < count; ++t)
    ids.push_back(static_cast<double>(std::max<std::int64_t>(0, c.integer(first - 3, first + rows + 2))));
  return c.values(Role::index, {count}, ids);
}

std::vector<OpCase> embedding_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const std::int64_t columns : {1, 19, 64})
    for (const std::int64_t first : {0, 40}) {
      OpCase c(fmt::format("H {}, rows from {}", columns, first), p);
      c.gap = columns == 19 ? 5 : 0;
      c.set_op(op::Embedding{
          .tokens = tokens(c, 37, first, 11),
          .table = c.input(Role::compute, {11, columns}),
          .first = first,
          .out = c.output(Role::compute, {37, columns}, {.units = 0.0}),
      });
      cases.push_back(std::move(c));
    }
  return cases;
}

std::vector<OpCase> embedding_backward_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const std::int64_t columns : {1, 19, 64})
    for (const std::int64_t first : {0, 40}) {
      OpCase c(fmt::format("H {}, rows from {}", columns, first), p);
      c.gap = columns == 19 ? 5 : 0;
      c.set_op(op::EmbeddingBackward{
          .tokens = tokens(c, 37, first, 11),
          .d_out = c.input(Role::compute, {37, columns}),
          .first = first,
          .d_table = c.updated(Role::accumulate, {11, columns}, {.terms = 37.0, .floor = 1.0}),
      });
      cases.push_back(std::move(c));
    }
  return cases;
}

}  // namespace

std::vector<OpCases> product_ops() {
  return {{op::Linear::kName, linear_cases},
          {op::LinearInputGradient::kName, linear_input_gradient_cases},
          {op::LinearWeightGradient::kName, linear_weight_gradient_cases},
          {op::Embedding::kName, embedding_cases},
          {op::EmbeddingBackward::kName, embedding_backward_cases}};
}

}  // namespace headwater::testing
