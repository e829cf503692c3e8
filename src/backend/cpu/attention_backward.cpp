// Attention, backward: probabilities are made again from the saved log-sum-exp, tile by tile. With P the
// probabilities, M the dropout factors, ∘ element by element and δ_i = Σ_d d_out·out:
//   dV = (P ∘ M)ᵀ dO,  dS = P ∘ (M ∘ (dO Vᵀ) − δ),  dQ = scale · dS K,  dK = scale · dSᵀ Q.
// One item is one KV head of one sample: its gradients are summed over the query heads of its group in order,
// by one thread, so that nothing is shared and the bits do not depend on the number of threads.

#include "attention_tiles.h"
#include "cpu_catalogue.h"
#include "parallel.h"
#include "vector_math.h"

namespace headwater::cpu {
namespace {

struct BackwardScratch {
  float *dk, *dv;                                          // [keys, width]: the item's sums
  float *queries, *d_out, *queries_across, *d_out_across;  // a tile of queries, also transposed
  float *keys, *values, *scores, *d_scores, *dq;

  BackwardScratch(Scratch memory, std::int64_t key_count, std::int64_t width)
      : dk(memory.take<float>(key_count * width)),
        dv(memory.take<float>(key_count * width)),
        queries(memory.take<float>(kQueryTile * width)),
        d_out(memory.take<float>(kQueryTile * width)),
        queries_across(memory.take<float>(width * kQueryTile)),
        d_out_across(memory.take<float>(width * kQueryTile)),
        keys(memory.take<float>(kKeyTile * width)),
        values(memory.take<float>(kKeyTile * width)),
        scores(memory.take<float>(kKeyTile * kQueryTile)),
        d_scores(memory.take<float>(kKeyTile * kQueryTile)),
        dq(memory.take<float>(kQueryTile * width)) {}
};

// A lane per query: log-sum-exp and δ.
struct QueryStatistics {
  alignas(64) float lse[kQueryTile] = {}, delta[kQueryTile] = {};
};

template <class T>
QueryStatistics query_statistics(const AttentionShape& shape, const QueryTile& tile, std::int64_t head,
                                 const op::AttentionBackward& backward) {
  QueryStatistics statistics;
  for (std::int64_t i = 0; i < tile.count; ++i) {
    const std::int64_t row = tile.row(shape, i);
    const T* out = row_of<T>(backward.out, row) + head * shape.head_dim;
    const T* d_out = row_of<T>(backward.d_out, row) + head * shape.head_dim;
    float delta = 0.0F;
#pragma omp simd reduction(+ : delta)
    for (std::int64_t d = 0; d < shape.head_dim; ++d)
      delta += static_cast<float>(out[d]) * static_cast<float>(d_out[d]);
    statistics.delta[i] = delta;
    statistics.lse[i] = row_of<float>(backward.lse, row)[head];
  }
  return statistics;
}

// scores ← P, from the scores and the log-sum-exp; 0 where a query does not reach a key.
void probabilities(const QueryTile& tile, const QueryStatistics& statistics, std::int64_t key,
                   std::int64_t keys, float* scores) {
  const bool cut = tile.cuts(key, keys);
  for (std::int64_t j = 0; j < keys; ++j) {
    float* row = scores + j * kQueryTile;
    for (std::int64_t i = 0; i < tile.lanes; ++i) row[i] = exp_nonpositive(row[i] - statistics.lse[i]);
    if (!cut) continue;
    const auto index = static_cast<std::int32_t>(key + j);
    for (std::int64_t i = 0; i < tile.lanes; ++i) {
      const bool reached =
          tile.from[static_cast<std::size_t>(i)] <= index && index < tile.end[static_cast<std::size_t>(i)];
      row[i] = reached ? row[i] : 0.0F;
    }
  }
}

// From P and dO Vᵀ: d_scores ← dS, and scores ← P ∘ M.
void score_gradients(const AttentionShape& shape, const DropoutMask& mask, const QueryTile& tile,
                     std::int64_t head, const QueryStatistics& statistics, std::int64_t key,
                     std::int64_t keys, float* scores, float* d_scores) {
  if (!mask.on()) {
    for (std::int64_t j = 0; j < keys; ++j)
      for (std::int64_t i = 0; i < tile.lanes; ++i) {
        float& d = d_scores[j * kQueryTile + i];
        d = scores[j * kQueryTile + i] * (d - statistics.delta[i]);
      }
    return;
  }
  for_dropout_rows(mask, shape, tile, head, key, keys, [&](std::int64_t j, const float* scales) {
    for (std::int64_t i = 0; i < tile.lanes; ++i) {
      float& p = scores[j * kQueryTile + i];
      float& d = d_scores[j * kQueryTile + i];
      d = p * (scales[i] * d - statistics.delta[i]);
      p *= scales[i];
    }
  });
}

template <class T>
void backward_tile(const op::AttentionBackward& backward, const AttentionShape& shape,
                   const DropoutMask& mask, const QueryTile& tile, std::int64_t head,
                   const BackwardScratch& s) {
  const std::int64_t width = shape.padded_dim(), kv_head = head / shape.group();
  const QueryStatistics statistics = query_statistics<T>(shape, tile, head, backward);
  const std::int64_t first_row = tile.row(shape, 0);
  const TileRows q = tile_rows<T>(backward.of.q, first_row, tile.count, head, shape.head_dim, s.queries);
  const TileRows g = tile_rows<T>(backward.d_out, first_row, tile.count, head, shape.head_dim, s.d_out);
  transposed_queries<T>(backward.of.q, shape, tile, head, shape.scale, s.queries_across);
  transposed_queries<T>(backward.d_out, shape, tile, head, 1.0F, s.d_out_across);
  std::fill_n(s.dq, tile.count * width, 0.0F);
  for (std::int64_t key = tile.first_key_tile(); key < tile.largest_end; key += kKeyTile) {
    const std::int64_t keys = std::min(kKeyTile, tile.largest_end - key),
                       row = tile.sample * shape.keys + key;
    const TileRows k = tile_rows<T>(backward.of.k, row, keys, kv_head, shape.head_dim, s.keys);
    const TileRows v = tile_rows<T>(backward.of.v, row, keys, kv_head, shape.head_dim, s.values);
    tile_product(k.data, k.row, 1, s.queries_across, kQueryTile, s.scores, kQueryTile, keys, tile.lanes,
                 shape.head_dim, false);
    tile_product(v.data, v.row, 1, s.d_out_across, kQueryTile, s.d_scores, kQueryTile, keys, tile.lanes,
                 shape.head_dim, false);
    probabilities(tile, statistics, key, keys, s.scores);
    score_gradients(shape, mask, tile, head, statistics, key, keys, s.scores, s.d_scores);
    tile_product(s.scores, kQueryTile, 1, g.data, g.row, s.dv + key * width, width, keys, width, tile.count,
                 true);
    tile_product(s.d_scores, kQueryTile, 1, q.data, q.row, s.dk + key * width, width, keys, width, tile.count,
                 true);
    tile_product(s.d_scores, 1, kQueryTile, k.data, k.row, s.dq, width, tile.count, width, keys, true);
  }
  for (std::int64_t i = 0; i < tile.count; ++i) {
    T* to = row_of<T>(backward.dq, first_row + i) + head * shape.head_dim;
    for (std::int64_t d = 0; d < shape.head_dim; ++d)
      to[d] = static_cast<T>(shape.scale * s.dq[i * width + d]);
  }
}

template <class T>
void backward_kv_head(const op::AttentionBackward& backward, const AttentionShape& shape,
                      const DropoutMask& mask, std::int64_t sample, std::int64_t kv_head,
                      const BackwardScratch& s) {
  const std::int64_t width = shape.padded_dim();
  std::fill_n(s.dk, shape.keys * width, 0.0F);
  std::fill_n(s.dv, shape.keys * width, 0.0F);
  for (std::int64_t head = kv_head * shape.group(); head < (kv_head + 1) * shape.group(); ++head)
    for (std::int64_t tile = 0; tile < shape.query_tiles(); ++tile)
      backward_tile<T>(backward, shape, mask, QueryTile(shape, sample, tile), head, s);
  for (std::int64_t j = 0; j < shape.keys; ++j) {
    T* dk = row_of<T>(backward.dk, sample * shape.keys + j) + kv_head * shape.head_dim;
    T* dv = row_of<T>(backward.dv, sample * shape.keys + j) + kv_head * shape.head_dim;
    for (std::int64_t d = 0; d < shape.head_dim; ++d) {
      dk[d] = static_cast<T>(shape.scale * s.dk[j * width + d]);
      dv[d] = static_cast<T>(s.dv[j * width + d]);
    }
  }
}

}  // namespace

void CpuBackend::compute(const op::AttentionBackward& backward) {
  const AttentionShape shape(backward.of);
  const DropoutMask mask(backward.of.dropout);
  const Scratch memory = scratch_of(backward);
  with_compute_type(backward.of.q.dtype, [&](auto type) {
    parallel_items(threads_, shape.samples * shape.kv_heads, [&](std::int64_t item, int slot) {
      const BackwardScratch own(memory.share(slot, threads_), shape.keys, shape.padded_dim());
      backward_kv_head<decltype(type)>(backward, shape, mask, item / shape.kv_heads, item % shape.kv_heads,
                                       own);
    });
  });
}

}  // namespace headwater::cpu
