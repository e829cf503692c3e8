#pragma once
// Attention's two passes share the geometry of a call, tiles of rows in f32, and the mask of a tile.
//
// Scores are held transposed, one row per key and one lane per query: maximum, exponential, sum and mask then
// run over contiguous queries, and only the queries are ever transposed, once per tile of them.

#include "headwater/backend/op_arguments.h"

#include "checks.h"
#include "dropout_mask.h"
#include "scratch_bytes.h"
#include "tile_product.h"

#include <algorithm>
#include <array>
#include <type_traits>

namespace headwater::cpu {

constexpr std::int64_t padded(std::int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

struct AttentionShape {
  std::int64_t samples, queries, keys, heads, kv_heads, head_dim, query_offset, first_head;
  const std::int32_t* start;
  std::int64_t border_offset;
  float scale;

  explicit AttentionShape(const AttentionArguments& arguments)
      : samples(arguments.samples),
        queries(arguments.queries()),
        keys(arguments.keys()),
        heads(arguments.q.shape[1]),
        kv_heads(arguments.k.shape[1]),
        head_dim(arguments.q.shape[2]),
        query_offset(arguments.query_offset),
        first_head(arguments.first_head),
        start(arguments.borders.start.as<std::int32_t>()),
        border_offset(arguments.borders.offset),
        scale(static_cast<float>(arguments.scale)) {}

  std::int64_t group() const { return heads / kv_heads; }  // query heads of one KV head
  std::int64_t padded_dim() const { return padded(head_dim); }
  std::int64_t query_tiles() const { return (queries + kQueryTile - 1) / kQueryTile; }
};

// Up to kQueryTile queries of one sample, from query `first` on, and the keys [from[i], end[i]) of its sample
// that each of them reaches.
struct QueryTile {
  std::int64_t sample, first, count, lanes;  // lanes: count, padded; the lanes beyond count reach no key
  std::array<std::int32_t, kQueryTile> from{}, end{};
  std::int64_t smallest_from, largest_from, smallest_end, largest_end;

  QueryTile(const AttentionShape& shape, std::int64_t which_sample, std::int64_t tile)
      : sample(which_sample),
        first(tile * kQueryTile),
        count(std::min(kQueryTile, shape.queries - first)),
        lanes(padded(count)) {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t border = shape.start[row(shape, i)] - shape.border_offset - sample * shape.keys;
      from[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(std::max<std::int64_t>(border, 0));
      end[static_cast<std::size_t>(i)] =
          static_cast<std::int32_t>(std::min(first + i + shape.query_offset + 1, shape.keys));
    }
    const auto [low, high] = std::minmax_element(from.begin(), from.begin() + count);
    smallest_from = *low;
    largest_from = *high;
    smallest_end = end[0];
    largest_end = end[static_cast<std::size_t>(count - 1)];
  }

  std::int64_t row(const AttentionShape& shape, std::int64_t i) const {
    return sample * shape.queries + first + i;
  }
  std::int64_t first_key_tile() const { return smallest_from / kKeyTile * kKeyTile; }
  // Whether some query does not reach some of the keys [key, key + keys).
  bool cuts(std::int64_t key, std::int64_t keys) const {
    return key < largest_from || key + keys > smallest_end;
  }
};

// A tile's rows in f32, `row` elements apart.
struct TileRows {
  const float* data;
  std::int64_t row;
};

// Rows of one head in f32, padded with zeros to whole vectors: a copy in `buffer`, or the tensor itself where
// it is so.
template <class T>
TileRows tile_rows(const TensorView& x, std::int64_t row, std::int64_t rows, std::int64_t head,
                   std::int64_t head_dim, float* buffer) {
  const std::int64_t width = padded(head_dim);
  if constexpr (std::is_same_v<T, float>) {
    if (width == head_dim) return {row_of<float>(x, row) + head * head_dim, x.row_stride};
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* from = row_of<T>(x, row + r) + head * head_dim;
    float* to = buffer + r * width;
    for (std::int64_t d = 0; d < head_dim; ++d) to[d] = static_cast<float>(from[d]);
    std::fill(to + head_dim, to + width, 0.0F);
  }
  return {buffer, width};
}

// to[d][i] = factor · x[i][d], for all channels; lanes beyond the tile's count are zero. Rows of `to` are
// kQueryTile apart.
template <class T>
void transposed_queries(const TensorView& x, const AttentionShape& shape, const QueryTile& tile,
                        std::int64_t head, float factor, float* to) {
  for (std::int64_t i = 0; i < tile.count; ++i) {
    const T* from = row_of<T>(x, tile.row(shape, i)) + head * shape.head_dim;
    for (std::int64_t d = 0; d < shape.head_dim; ++d)
      to[d * kQueryTile + i] = factor * static_cast<float>(from[d]);
  }
  for (std::int64_t d = 0; d < shape.head_dim; ++d)
    std::fill(to + d * kQueryTile + tile.count, to + d * kQueryTile + tile.lanes, 0.0F);
}

// Calls body(j, scales) for each j < keys: the dropout factors of key `key` + j for all lanes. `key` is a
// multiple of 8.
template <class Body>
void for_dropout_rows(const DropoutMask& mask, const AttentionShape& shape, const QueryTile& tile,
                      std::int64_t head, std::int64_t key, std::int64_t keys, const Body& body) {
  const std::int64_t stride = (shape.keys + 7) / 8 * 8;
  float scales[8 * kQueryTile];
  for (std::int64_t j = 0; j < keys; j += 8) {
    const std::int64_t first = ((shape.first_head + head) * shape.queries + tile.first) * stride + key + j;
    mask.scales_of_eight_rows(tile.sample, static_cast<std::uint64_t>(first),
                              static_cast<std::uint64_t>(stride), kQueryTile, scales);
    for (std::int64_t r = 0; r < std::min<std::int64_t>(8, keys - j); ++r)
      body(j + r, scales + r * kQueryTile);
  }
}

}  // namespace headwater::cpu
