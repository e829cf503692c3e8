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
};

std::string describe(const AttentionCase& a) {
  constexpr const char* kDocuments[] = {"", ", documents", ", documents around tiles"};
  return fmt::format("B {} Sq {} Sk {} A {} G {} D {} offsets {} {}{}, dropout {}, gap {}, first head {}",
                     a.samples, a.queries, a.keys, a.heads, a.kv_heads, a.head_dim, a.query_offset,
                     a.border_offset, kDocuments[static_cast<std::size_t>(a.documents)], a.dropout, a.gap,
                     a.first_head);
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

struct AttentionOperands {
  std::size_t q, k, v, start, keys;

  AttentionArgs args(const AttentionCase& a, const Views& views) const {
    AttentionArgs all;
    all.q = views[q];
    all.k = views[k];
    all.v = views[v];
    all.samples = a.samples;
    all.borders = {views[start], a.border_offset};
    all.query_offset = a.query_offset;
    all.scale = 1.0 / std::sqrt(static_cast<double>(a.head_dim));
    all.dropout = {a.dropout, 99, views[keys]};
    all.first_head = a.first_head;
    return all;
  }
};

AttentionOperands operands(OpCase& c, const AttentionCase& a) {
  const std::int64_t queries = a.samples * a.queries, keys = a.samples * a.keys;
  const auto start = c.values("start", Role::index, {queries}, starts(c, a)),
             mask_keys = dropout_keys(c, a.samples);
  c.gap = a.gap;
  // Scores of a few units, so that the softmax is neither flat nor a single one.
  return {c.input("q", Role::compute, {queries, a.heads, a.head_dim}, 3.0),
          c.input("k", Role::compute, {keys, a.kv_heads, a.head_dim}, 3.0),
          c.input("v", Role::compute, {keys, a.kv_heads, a.head_dim}), start, mask_keys};
}

// Products with D terms of up to 9, then sums over the keys; a low-precision backend may round probabilities
// too.
Tolerance tolerance(const AttentionCase& a) {
  return {.units = 2.0, .terms = static_cast<double>(9 * a.head_dim + a.keys), .floor = 1.0};
}

OpCase attention_case(const AttentionCase& a, Precision p) {
  OpCase c("attention", describe(a), p);
  const AttentionOperands o = operands(c, a);
  const auto out = c.output("out", Role::compute, {a.samples * a.queries, a.heads, a.head_dim}, tolerance(a));
  const auto lse = c.output("lse", Role::accumulate, {a.samples * a.queries, a.heads}, tolerance(a));
  c.run = [=](Backend& backend, const Views& v) { backend.attention(o.args(a, v), v[out], v[lse]); };
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
    OpCase c("attention_backward", describe(a), p);
    const AttentionOperands o = operands(c, a);
    const Shape q_shape{a.samples * a.queries, a.heads, a.head_dim},
        k_shape{a.samples * a.keys, a.kv_heads, a.head_dim};
    const auto out = c.values("out", Role::compute, q_shape, saved[saved.size() - 2]);
    const auto lse = c.values("lse", Role::accumulate, {a.samples * a.queries, a.heads}, saved.back());
    const auto d_out = c.input("d_out", Role::compute, q_shape);
    // Differences dP − δ cancel; a key's gradient is a sum over all queries of its group.
    Tolerance t = tolerance(a);
    t.floor = 3.0;
    t.terms += static_cast<double>(a.queries * a.heads / a.kv_heads);
    const auto dq = c.output("dq", Role::compute, q_shape, t);
    const auto dk = c.output("dk", Role::compute, k_shape, t), dv = c.output("dv", Role::compute, k_shape, t);
    c.run = [=](Backend& backend, const Views& v) {
      backend.attention_backward(o.args(a, v), v[out], v[lse], v[d_out], v[dq], v[dk], v[dv]);
    };
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace

std::vector<OpCases> attention_ops() {
  return {{"attention", attention_cases}, {"attention_backward", attention_backward_cases}};
}

}  // namespace headwater::testing
