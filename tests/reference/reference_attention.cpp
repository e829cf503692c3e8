#include "tests/reference/elements.h"
#include "tests/reference/reference_backend.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace headwater {

using reference::at;
using reference::dropout_factor;
using reference::integer;
using Index = std::int64_t;

namespace {

// One query of one head, and the keys [first, end) of its sample that it reaches.
struct Query {
  const AttentionArguments& args;
  Index head, row, head_dim, sample, i, queries, keys, first, end;

  Query(const AttentionArguments& a, Index which_row, Index which_head)
      : args(a), head(which_head), row(which_row), head_dim(a.q.shape[2]) {
    queries = a.q.rows() / a.samples;
    keys = a.k.rows() / a.samples;
    sample = row / queries;
    i = row % queries;
    first = std::max<Index>(0, integer(a.borders.start, row) - a.borders.offset - sample * keys);
    end = std::min(keys, i + a.query_offset + 1);
  }
  Index kv_head() const { return head / (args.q.shape[1] / args.k.shape[1]); }
  Index key_row(Index j) const { return sample * keys + j; }
  double q(Index d) const { return at(args.q, row, head * head_dim + d); }
  double k(Index j, Index d) const { return at(args.k, key_row(j), kv_head() * head_dim + d); }
  double v(Index j, Index d) const { return at(args.v, key_row(j), kv_head() * head_dim + d); }
  double score(Index j) const {
    double sum = 0.0;
    for (Index d = 0; d < head_dim; ++d) sum += q(d) * k(j, d);
    return args.scale * sum;
  }
  double kept(Index j) const {
    return dropout_factor(args.dropout, sample,
                          ((args.first_head + head) * queries + i) * ((keys + 7) / 8 * 8) + j);
  }
};

}  // namespace

void ReferenceBackend::compute(const op::Attention& o) {
  for (Index row = 0; row < o.of.q.rows(); ++row)
    for (Index head = 0; head < o.of.q.shape[1]; ++head) {
      const Query query(o.of, row, head);
      double maximum = query.score(query.first);
      for (Index j = query.first; j < query.end; ++j) maximum = std::max(maximum, query.score(j));
      double sum = 0.0;
      for (Index j = query.first; j < query.end; ++j) sum += std::exp(query.score(j) - maximum);
      const double total = maximum + std::log(sum);
      at(o.lse, row, head) = total;
      for (Index d = 0; d < query.head_dim; ++d) at(o.out, row, head * query.head_dim + d) = 0.0;
      for (Index j = query.first; j < query.end; ++j) {
        const double weight = query.kept(j) * std::exp(query.score(j) - total);
        for (Index d = 0; d < query.head_dim; ++d)
          at(o.out, row, head * query.head_dim + d) += weight * query.v(j, d);
      }
    }
}

// Softmax's Jacobian spelt out: dS_j = P_j (dP_j − Σ_l P_l dP_l).
void ReferenceBackend::compute(const op::AttentionBackward& o) {
  compute(op::Zero{o.dq});
  compute(op::Zero{o.dk});
  compute(op::Zero{o.dv});
  for (Index row = 0; row < o.of.q.rows(); ++row)
    for (Index head = 0; head < o.of.q.shape[1]; ++head) {
      const Query query(o.of, row, head);
      const Index column = head * query.head_dim, kv_column = query.kv_head() * query.head_dim;
      std::vector<double> p(static_cast<std::size_t>(query.keys)), dp(p.size());
      double mean = 0.0;
      for (Index j = query.first; j < query.end; ++j) {
        const auto at_j = static_cast<std::size_t>(j);
        p[at_j] = std::exp(query.score(j) - at(o.lse, row, head));
        for (Index d = 0; d < query.head_dim; ++d) {
          const double g = at(o.d_out, row, column + d);
          dp[at_j] += query.kept(j) * g * query.v(j, d);
          at(o.dv, query.key_row(j), kv_column + d) += query.kept(j) * p[at_j] * g;
        }
        mean += p[at_j] * dp[at_j];
      }
      for (Index j = query.first; j < query.end; ++j) {
        const auto at_j = static_cast<std::size_t>(j);
        const double ds = o.of.scale * p[at_j] * (dp[at_j] - mean);
        for (Index d = 0; d < query.head_dim; ++d) {
          at(o.dq, row, column + d) += ds * query.k(j, d);
          at(o.dk, query.key_row(j), kv_column + d) += ds * query.q(d);
        }
      }
    }
}

}  // namespace headwater
