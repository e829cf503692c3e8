// Attention, forward: tiles of queries against tiles of keys with a running softmax (Rabe & Staats 2021; Dao
// et al. 2022), so that no row of all scores ever exists. Tiles of keys that no query of a tile reaches are
// skipped.

#include "attention_tiles.h"
#include "cpu_catalogue.h"
#include "parallel.h"
#include "vector_math.h"

#include <cmath>
#include <limits>

namespace headwater::cpu {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

struct ForwardScratch {
  float *queries, *keys, *values, *scores, *out;

  ForwardScratch(Scratch memory, std::int64_t width)
      : queries(memory.take<float>(width * kQueryTile)),
        keys(memory.take<float>(kKeyTile * width)),
        values(memory.take<float>(kKeyTile * width)),
        scores(memory.take<float>(kKeyTile * kQueryTile)),
        out(memory.take<float>(kQueryTile * width)) {}
};

// The state of the running softmax, a lane per query.
struct RunningSoftmax {
  alignas(64) float maximum[kQueryTile], sum[kQueryTile], rescale[kQueryTile];

  RunningSoftmax() {
    std::fill_n(maximum, kQueryTile, kMinusInfinity);
    std::fill_n(sum, kQueryTile, 0.0F);
  }

  // scores ← exp(scores − maximum) for `keys` more keys; `rescale` is the factor on what was summed before.
  void take(float* scores, std::int64_t keys, std::int64_t lanes) {
    float shift[kQueryTile];
    std::copy_n(maximum, lanes, shift);
    for (std::int64_t j = 0; j < keys; ++j)
      for (std::int64_t i = 0; i < lanes; ++i) {
        const float score = scores[j * kQueryTile + i];
        shift[i] = score > shift[i] ? score : shift[i];
      }
    for (std::int64_t i = 0; i < lanes; ++i) {
      const float before = maximum[i];
      maximum[i] = shift[i];
      shift[i] =
          shift[i] == kMinusInfinity ? 0.0F : shift[i];  // nothing reached yet: −∞ − 0 and not −∞ − (−∞)
      rescale[i] = exp_nonpositive(before - shift[i]);
      sum[i] *= rescale[i];
    }
    for (std::int64_t j = 0; j < keys; ++j)
      for (std::int64_t i = 0; i < lanes; ++i) {
        float& score = scores[j * kQueryTile + i];
        score = exp_nonpositive(score - shift[i]);
        sum[i] += score;
      }
  }
};

void mask_scores(const QueryTile& tile, std::int64_t key, std::int64_t keys, float* scores) {
  for (std::int64_t j = 0; j < keys; ++j) {
    const auto index = static_cast<std::int32_t>(key + j);
    for (std::int64_t i = 0; i < tile.lanes; ++i) {
      const bool reached =
          tile.from[static_cast<std::size_t>(i)] <= index && index < tile.end[static_cast<std::size_t>(i)];
      float& score = scores[j * kQueryTile + i];
      score = reached ? score : kMinusInfinity;
    }
  }
}

template <class T>
void forward_tile(const op::Attention& attention, const AttentionShape& shape, const DropoutMask& mask,
                  const QueryTile& tile, std::int64_t head, const ForwardScratch& s) {
  const std::int64_t width = shape.padded_dim(), kv_head = head / shape.group();
  RunningSoftmax softmax;
  std::fill_n(s.out, tile.count * width, 0.0F);
  transposed_queries<T>(attention.of.q, shape, tile, head, shape.scale, s.queries);
  for (std::int64_t key = tile.first_key_tile(); key < tile.largest_end; key += kKeyTile) {
    const std::int64_t keys = std::min(kKeyTile, tile.largest_end - key),
                       row = tile.sample * shape.keys + key;
    const TileRows k = tile_rows<T>(attention.of.k, row, keys, kv_head, shape.head_dim, s.keys);
    const TileRows v = tile_rows<T>(attention.of.v, row, keys, kv_head, shape.head_dim, s.values);
    tile_product(k.data, k.row, 1, s.queries, kQueryTile, s.scores, kQueryTile, keys, tile.lanes,
                 shape.head_dim, false);
    if (tile.cuts(key, keys)) mask_scores(tile, key, keys, s.scores);
    softmax.take(s.scores, keys, tile.lanes);
    if (mask.on())
      for_dropout_rows(mask, shape, tile, head, key, keys, [&](std::int64_t j, const float* scales) {
        for (std::int64_t i = 0; i < tile.lanes; ++i) s.scores[j * kQueryTile + i] *= scales[i];
      });
    for (std::int64_t i = 0; i < tile.count; ++i)
      for (std::int64_t d = 0; d < width; ++d) s.out[i * width + d] *= softmax.rescale[i];
    tile_product(s.scores, 1, kQueryTile, v.data, v.row, s.out, width, tile.count, width, keys, true);
  }
  for (std::int64_t i = 0; i < tile.count; ++i) {
    const std::int64_t row = tile.row(shape, i);
    T* to = row_of<T>(attention.out, row) + head * shape.head_dim;
    const float inverse = 1.0F / softmax.sum[i];
    for (std::int64_t d = 0; d < shape.head_dim; ++d) to[d] = static_cast<T>(s.out[i * width + d] * inverse);
    row_of<float>(attention.lse, row)[head] = softmax.maximum[i] + std::log(softmax.sum[i]);
  }
}

}  // namespace

void CpuBackend::compute(const op::Attention& attention) {
  const AttentionShape shape(attention.of);
  const DropoutMask mask(attention.of.dropout);
  const Scratch memory = scratch_of(attention);
  // Late tiles reach the most keys: they go first, so that no thread is left with a long one at the end.
  const std::int64_t tiles = shape.query_tiles(), per_tile = shape.samples * shape.heads;
  with_compute_type(attention.of.q.dtype, [&](auto type) {
    parallel_items(threads_, tiles * per_tile, [&](std::int64_t item, int slot) {
      const std::int64_t sample = item % per_tile / shape.heads, head = item % shape.heads;
      const QueryTile tile(shape, sample, tiles - 1 - item / per_tile);
      const ForwardScratch own(memory.share(slot, threads_), shape.padded_dim());
      forward_tile<decltype(type)>(attention, shape, mask, tile, head, own);
    });
  });
}

}  // namespace headwater::cpu
