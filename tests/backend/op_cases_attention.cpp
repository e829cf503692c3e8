#include "tests/backend/op_cases.h"
#include "tests/reference/reference_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace headwater::testing {
namespace {

enum class Documents { none, random, around_tiles };

struct AttentionCase {
  std::int64_t samples, queries, keys, heads, kv_heads, head_dim;
  std::int64_t query_offset = 0;
  Documents documents = Documents::none;
  double dropout = 0.0;
  std::int64_t border_offset = 0;
  std::int64_t gap = 0;
  std::int64_t first_head = 0;
  bool fused = false;  // q, k and v (as large as q) are columns of one tensor, and so are their gradients
};

// Tiles have 64 queries and 64 keys.
const AttentionCase kCases[] = {
    {1, 1, 1, 1, 1, 8},
    {1, 1, 1, 2, 1, 64},
    {2, 5, 5, 2, 2, 16, 0, Documents::none, 0.0, 0, 7},
    {1, 64, 64, 2, 2, 64},
    {3, 17, 17, 4, 2, 8, 0, Documents::random, 0.0, 0, 24},
    {1, 65, 65, 2, 1, 64, 0, Documents::around_tiles, 0.0, 0, 128},
    {2, 130, 130, 4, 2, 96, 0, Documents::random},
    {1, 129, 129, 3, 3, 64, 0, Documents::around_tiles},
    {1, 200, 200, 1, 1, 20},
    {1, 70, 70, 6, 1, 128, 0, Documents::none, 0.0, 0, 5},
    {1, 33, 33, 2, 2, 256},
    {1, 1, 77, 4, 2, 64, 76},                                  // generation, one token
    {2, 3, 70, 2, 2, 16, 67, Documents::random},               // and a few
    {1, 3, 300, 2, 2, 16, 100},                                // with room left in the cache
    {1, 40, 100, 2, 1, 16, 60, Documents::random, 0.0, 1000},  // indices that count from elsewhere
    {1, 3, 3, 2, 1, 16, 0, Documents::none, 0.1},
    {2, 37, 37, 4, 2, 32, 0, Documents::random, 0.5, 0, 9},
    {1, 131, 131, 3, 3, 64, 0, Documents::around_tiles, 0.1},
    {1, 2, 77, 2, 1, 16, 75, Documents::none, 0.3},
    {2, 35, 35, 2, 2, 16, 0, Documents::random, 0.4, 0, 0, 3},  // a tensor rank's heads
    {2, 66, 66, 4, 2, 24, 0, Documents::random, 0.1, 0, 5, 0, true},
};

std::string describe(const AttentionCase& a) {
  constexpr const char* kDocuments[] = {"", ", documents", ", documents around tiles"};
  return fmt::format("B {} Sq {} Sk {} A {} G {} D {} offsets {} {}{}, dropout {}, gap {}, first head {}{}",
                     a.samples, a.queries, a.keys, a.heads, a.kv_heads, a.head_dim, a.query_offset,
                     a.border_offset, kDocuments[static_cast<std::size_t>(a.documents)], a.dropout, a.gap,
                     a.first_head, a.fused ? ", fused" : "");
}

// The first key of each query: documents cut the keys; a query stands at the key of its own index.
std::vector<double> starts(OpCase& c, const AttentionCase& a) {
  std::vector<double> of_key(static_cast<std::size_t>(a.samples * a.keys));
  if (a.documents == Documents::random) of_key = document_starts(c, a.samples, a.keys, a.border_offset);
  for (std::int64_t row = 0; row < a.samples * a.keys && a.documents != Documents::random; ++row) {
    const std::int64_t key = row % a.keys;
    std::int64_t start = 0;
    if (a.documents == Documents::around_tiles)
      for (const std::int64_t border :
           {62, 63, 64, 65, 66, 128})  // documents of length 1 on both sides of a border
        if (key >= border) start = border;
    of_key[static_cast<std::size_t>(row)] = static_cast<double>(a.border_offset + row - key + start);
  }
  std::vector<double> of_query;
  for (std::int64_t sample = 0; sample < a.samples; ++sample)
    for (std::int64_t i = 0; i < a.queries; ++i)
      of_query.push_back(
          of_key[static_cast<std::size_t>(sample * a.keys + std::min(i + a.query_offset, a.keys - 1))]);
  return of_query;
}

// The columns of q, of k and of v in the fused tensor that they are cut from.
struct Heads {
  TensorView q, k, v;
};

Heads heads_of(const TensorView& fused, const AttentionCase& a) {
  const std::int64_t rows = fused.rows(), q_columns = a.heads * a.head_dim,
                     k_columns = a.kv_heads * a.head_dim;
  const Shape q_shape{rows, a.heads, a.head_dim}, k_shape{rows, a.kv_heads, a.head_dim};
  return {fused.slice_columns(0, q_columns).reshaped(q_shape),
          fused.slice_columns(q_columns, k_columns).reshaped(k_shape),
          fused.slice_columns(q_columns + k_columns, k_columns).reshaped(k_shape)};
}

std::int64_t fused_columns(const AttentionCase& a) { return (a.heads + 2 * a.kv_heads) * a.head_dim; }

// Scores of a few units, so that the softmax is neither flat nor a single one.
Heads heads(OpCase& c, const AttentionCase& a) {
  const std::int64_t queries = a.samples * a.queries, keys = a.samples * a.keys;
  if (a.fused) return heads_of(c.input(Role::compute, {queries, fused_columns(a)}, 3.0), a);
  const TensorView q = c.input(Role::compute, {queries, a.heads, a.head_dim}, 3.0);
  const TensorView k = c.input(Role::compute, {keys, a.kv_heads, a.head_dim}, 3.0);
  return {q, k, c.input(Role::compute, {keys, a.kv_heads, a.head_dim})};
}

Heads head_gradients(OpCase& c, const AttentionCase& a, const Tolerance& tolerance) {
  const std::int64_t queries = a.samples * a.queries, keys = a.samples * a.keys;
  if (a.fused) return heads_of(c.output(Role::compute, {queries, fused_columns(a)}, tolerance), a);
  return {c.output(Role::compute, {queries, a.heads, a.head_dim}, tolerance),
          c.output(Role::compute, {keys, a.kv_heads, a.head_dim}, tolerance),
          c.output(Role::compute, {keys, a.kv_heads, a.head_dim}, tolerance)};
}

// From here on matrices have the case's gap.
AttentionArguments arguments(OpCase& c, const AttentionCase& a) {
  AttentionArguments all;
  all.borders = {c.values(Role::index, {a.samples * a.queries}, starts(c, a)), a.border_offset};
  all.dropout = {a.dropout, 99, dropout_keys(c, a.samples)};
  c.gap = a.gap;
  const Heads of = heads(c, a);
  all.q = of.q;
  all.k = of.k;
  all.v = of.v;
  all.samples = a.samples;
  all.query_offset = a.query_offset;
  all.scale = 1.0 / std::sqrt(static_cast<double>(a.head_dim));
  all.first_head = a.first_head;
  return all;
}

// Products with D terms of up to 9, then sums over the keys; a low-precision backend may round probabilities
// too.
Tolerance tolerance(const AttentionCase& a) {
  return {.units = 2.0, .terms = static_cast<double>(9 * a.head_dim + a.keys), .floor = a.fused ? 3.0 : 1.0};
}

OpCase attention_case(const AttentionCase& a, Precision p) {
  OpCase c(describe(a), p);
  const std::int64_t queries = a.samples * a.queries;
  c.set_op(op::Attention{
      .of = arguments(c, a),
      .out = c.output(Role::compute, {queries, a.heads, a.head_dim}, tolerance(a)),
      .lse = c.output(Role::accumulate, {queries, a.heads}, tolerance(a)),
  });
  return c;
}

std::vector<OpCase> attention_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const AttentionCase& a : kCases) cases.push_back(attention_case(a, p));
  return cases;
}

std::vector<OpCase> attention_backward_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const AttentionCase& a : kCases) {
    // What forward saved, from the reference; the same name gives the same random operands.
    ReferenceBackend reference;
    const OpCase forward = attention_case(a, p);
    const auto saved = run_on(reference, forward, {DType::f64, DType::f64});
    const auto& gave = std::get<op::Attention>(forward.op);
    OpCase c(describe(a), p);
    op::AttentionBackward backward;
    backward.of = arguments(c, a);
    backward.out = c.values(Role::compute, gave.out.shape, saved[number_of(gave.out)]);
    backward.lse = c.values(Role::accumulate, gave.lse.shape, saved[number_of(gave.lse)]);
    backward.d_out = c.input(Role::compute, gave.out.shape);
    // Differences dP − δ cancel; a key's gradient is a sum over all queries of its group.
    Tolerance t = tolerance(a);
    t.floor *= 3.0;
    t.terms += static_cast<double>(a.queries * a.heads / a.kv_heads);
    const Heads gradients = head_gradients(c, a, t);
    backward.dq = gradients.q;
    backward.dk = gradients.k;
    backward.dv = gradients.v;
    c.set_op(backward);
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace

std::vector<OpCases> attention_ops() {
  return {{op::Attention::kName, attention_cases}, {op::AttentionBackward::kName, attention_backward_cases}};
}

}  // namespace headwater::testing
