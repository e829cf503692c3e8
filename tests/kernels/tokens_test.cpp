// Positions and tokens: rotary embedding, token embedding over a shard of the vocabulary.

#include "matrix.h"

#include "tests/reference/reference_backend.h"

namespace headwater::kernels {
namespace {

struct RotaryCase {
  std::int64_t rows, heads, head_dim, pairs, gap = 0;
  std::size_t lead = 0;
};
std::ostream& operator<<(std::ostream& out, const RotaryCase& c) {
  return out << c.rows << " rows, " << c.heads << " heads of " << c.head_dim << ", " << c.pairs
             << " pairs, gap " << c.gap;
}

// A single pair; all channels and a part of them; query and key packed before a value; odd heads; misaligned;
// more pairs than threads of a row of them; as many threads as a block has.
constexpr RotaryCase kRotaryCases[] = {
    {1, 1, 2, 1},        {5, 3, 16, 8},    {7, 12, 64, 32, 128}, {3, 5, 64, 8, 1}, {4, 2, 96, 24, 0, 1},
    {2, 300, 16, 4, 16}, {2, 1, 300, 150}, {2, 2, 24, 5},        {1, 256, 64, 32}, {1, 300, 16, 4, 0, 1}};

TEST(Kernels, Rotary) {
  for_sizes(kRotaryCases, [](const RotaryCase& c, auto type) {
    using T = decltype(type);
    constexpr std::int64_t kPositions = 11;
    std::vector<double> angles;
    for (std::int64_t position = 0; position < kPositions; ++position) {
      for (std::int64_t pair = 0; pair < c.pairs; ++pair) {
        const double angle =
            static_cast<double>(position) * std::pow(100.0, -static_cast<double>(pair) / 8.0);
        angles.push_back(std::cos(angle)), angles.push_back(std::sin(angle));
      }
    }
    Matrix<float> table({kPositions, 2 * c.pairs}, angles);
    std::vector<std::int32_t> positions;
    for (std::int64_t t = 0; t < c.rows; ++t)
      positions.push_back(static_cast<std::int32_t>((3 * t + 2) % kPositions));
    Integers position(positions);
    for (const bool inverse : {false, true}) {
      Matrix<T> x({c.rows, c.heads * c.head_dim, c.gap, c.lead}, 1);
      TensorView heads = x.view();
      heads.shape = {c.rows, c.heads, c.head_dim};
      ReferenceBackend().run(op::Rotary{heads, position.view(), table.view(), inverse});
      rotary<T>(x, position.data(), table, inverse, c.rows, c.heads, c.head_dim, c.pairs, nullptr);
      x.expect(1.0, is_float(type) ? 1.0 : 0x1p-10);
    }
  });
}

struct EmbeddingCase {
  Size size;  // of the output
  std::int64_t ids, first,
      vocabulary;  // tokens are 0 … ids − 1; the table holds first … first + vocabulary − 1
};
std::ostream& operator<<(std::ostream& out, const EmbeddingCase& c) {
  return out << c.size << ", ids below " << c.ids << ", table from " << c.first << " of " << c.vocabulary;
}

// One token; all ids alike; many alike; a shard in the middle; a shard that no token meets; more tokens than
// one tile of the sort; wide rows.
const EmbeddingCase kEmbeddingCases[] = {
    {{1, 1}, 1, 0, 1},           {{65, 7}, 1, 0, 3}, {{64, 64, 8}, 5, 0, 5},   {{63, 40}, 60, 20, 17},
    {{9, 260, 0, 1}, 30, 10, 9}, {{7, 8}, 5, 5, 4},  {{600, 24}, 100, 0, 100}, {{3, 2056}, 2, 0, 2}};

template <class T>
void embeds(const EmbeddingCase& c) {
  const Size& size = c.size;
  std::vector<std::int32_t> ids;
  std::uint64_t state = 5;
  for (std::int64_t t = 0; t < size.rows; ++t) {
    ids.push_back(static_cast<std::int32_t>((random_value(state) + 1.0) * 0.5 * static_cast<double>(c.ids)));
  }
  Integers tokens(ids);
  const Size table_size{c.vocabulary, size.columns, size.gap, size.lead};
  Matrix<T> table(table_size, 1), out(size, 0), d_out(size, 2);
  ReferenceBackend().run(op::Embedding{tokens.view(), table.view(), c.first, out.view()});
  embedding<T>(tokens.data(), table, c.first, c.vocabulary, out, size.rows, size.columns, nullptr);
  out.expect(0.0);

  // In the order of t, exactly: the same sums in float.
  Matrix<float> d_table(table_size, 3);
  std::vector<float> expected = d_table.host();
  const std::vector<T> d = d_out.host();
  for (std::int64_t t = 0; t < size.rows; ++t) {
    const std::int64_t row = ids[static_cast<std::size_t>(t)] - c.first;
    if (row < 0 || row >= c.vocabulary) continue;
    for (std::int64_t i = 0; i < size.columns; ++i) {
      expected[static_cast<std::size_t>(row * size.columns + i)] +=
          static_cast<float>(d[static_cast<std::size_t>(t * size.columns + i)]);
    }
  }
  DeviceArray<std::int32_t> order(static_cast<std::size_t>(embedding_backward_bytes(size.rows)) /
                                  sizeof(std::int32_t));
  embedding_backward<T>(tokens.data(), d_out, c.first, c.vocabulary, d_table, order.data(), size.rows,
                        size.columns, nullptr);
  EXPECT_EQ(d_table.host(), expected);
}

TEST(Kernels, Embedding) {
  for_sizes(kEmbeddingCases, [](const EmbeddingCase& c, auto type) { embeds<decltype(type)>(c); });
}

TEST(Kernels, EmbeddingOfMoreTokensThanAreSortedAtOnce) {
  in_one_mode([] { embeds<float>({{4100, 4}, 2000, 0, 2000}); });
}

}  // namespace
}  // namespace headwater::kernels
