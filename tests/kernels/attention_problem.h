#pragma once
// An attention problem for tests: random operands on the device, the same numbers in double for the
// reference.

#include "device.h"
#include "kernels.h"

#include "tests/reference/reference_backend.h"

#include <fmt/ranges.h>

#include <cstring>
#include <random>

namespace headwater::kernels {

struct AttentionSizes {
  int samples, queries, keys, heads, kv_heads, head_dim;
  int query_offset = 0;
  std::vector<int> borders = {};  // keys at which a document begins
  double dropout = 0.0;
  int gap = 0;  // elements between rows, beyond the strides of one fused q | k | v
  int first_head = 0;
  std::int64_t start_offset = 0;
};

inline std::string describe(const AttentionSizes& s) {
  return fmt::format("B {} Sq {} Sk {} A {} G {} D {} offset {} borders {} dropout {} gap {}", s.samples,
                     s.queries, s.keys, s.heads, s.kv_heads, s.head_dim, s.query_offset,
                     fmt::join(s.borders, " "), s.dropout, s.gap);
}

// A matrix of T as the device has it, rows `stride` apart, and as doubles, dense.
template <class T>
struct TestMatrix {
  std::int64_t rows, columns, stride;
  std::vector<double> exact;
  DeviceArray<T> device;

  TestMatrix(std::int64_t r, std::int64_t c, std::int64_t s, std::vector<double> values)
      : rows(r), columns(c), stride(s), exact(std::move(values)), device(laid_out()) {}
  TestMatrix(std::int64_t r, std::int64_t c,
             std::int64_t s)  // of marks, which no kernel may touch between rows
      : TestMatrix(r, c, s, std::vector<double>(static_cast<std::size_t>(r * c), kMark)) {}

  // Uniform in [−size, size], rounded to T.
  static TestMatrix random(std::int64_t r, std::int64_t c, std::int64_t s, double size, std::mt19937& from) {
    std::vector<double> values(static_cast<std::size_t>(r * c));
    for (double& x : values)
      x = static_cast<float>(
          T(static_cast<float>(std::uniform_real_distribution<double>(-size, size)(from))));
    return TestMatrix(r, c, s, std::move(values));
  }

  Rows<T> view() const { return {device.data(), stride}; }
  Rows<const T> input() const { return {device.data(), stride}; }
  TensorView reference() { return {exact.data(), DType::f64, Shape{rows, columns}}; }
  TensorView reference(std::int64_t heads) {
    return {exact.data(), DType::f64, Shape{rows, heads, columns / heads}};
  }

  // What the device holds, dense; nothing between the rows may have been written.
  std::vector<T> host() const {
    const std::vector<T> all = device.host();
    std::vector<T> dense;
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t column = 0; column < stride; ++column) {
        const T x = all[static_cast<std::size_t>(row * stride + column)];
        if (column < columns) {
          dense.push_back(x);
        } else {
          EXPECT_EQ(static_cast<float>(x), kMark) << "written between rows, at " << row << ", " << column;
        }
      }
    return dense;
  }

 private:
  static constexpr float kMark = 77.0F;
  std::vector<T> laid_out() const {
    std::vector<T> all(static_cast<std::size_t>(rows * stride), T(kMark));
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t column = 0; column < columns; ++column)
        all[static_cast<std::size_t>(row * stride + column)] =
            T(static_cast<float>(exact[static_cast<std::size_t>(row * columns + column)]));
    return all;
  }
};

template <class T>
struct AttentionProblem {
  AttentionSizes sizes;
  std::mt19937 random{12345};
  std::int64_t query_rows, key_rows, stride;
  TestMatrix<T> q, k, v;
  std::vector<std::int32_t> start, mask_keys;
  DeviceArray<std::int32_t> start_device, mask_keys_device;

  explicit AttentionProblem(const AttentionSizes& s)
      : sizes(s),
        query_rows(s.samples * s.queries),
        key_rows(s.samples * s.keys),
        stride((s.heads + 2 * s.kv_heads) * s.head_dim + s.gap),
        // Scores of a few units, so that the softmax is neither flat nor a single one.
        q(TestMatrix<T>::random(query_rows, s.heads * s.head_dim, stride, 3.0, random)),
        k(TestMatrix<T>::random(key_rows, s.kv_heads * s.head_dim, stride, 3.0, random)),
        v(TestMatrix<T>::random(key_rows, s.kv_heads * s.head_dim, stride, 1.0, random)),
        start(starts()),
        mask_keys{},
        start_device(start),
        mask_keys_device((mask_keys = some_keys(), mask_keys)) {}

  Attention<T> args() const {
    Attention<T> a;
    a.q = q.input(), a.k = k.input(), a.v = v.input();
    a.samples = sizes.samples, a.queries = sizes.queries, a.keys = sizes.keys;
    a.heads = sizes.heads, a.kv_heads = sizes.kv_heads, a.head_dim = sizes.head_dim;
    a.start = start_device.data(), a.start_offset = sizes.start_offset;
    a.query_offset = sizes.query_offset, a.first_head = sizes.first_head;
    a.scale = static_cast<float>(scale());
    if (sizes.dropout > 0.0) {
      a.dropout.keys = mask_keys_device.data(), a.dropout.site = kSite;
      const Dropout dropout{sizes.dropout, kSite, {}};
      a.dropout.threshold = dropout.threshold() << 16U;
      a.dropout.scale = static_cast<float>(dropout.scale());
    }
    return a;
  }

  AttentionArguments reference() {
    AttentionArguments a;
    a.q = q.reference(sizes.heads), a.k = k.reference(sizes.kv_heads), a.v = v.reference(sizes.kv_heads);
    a.samples = sizes.samples;
    a.borders = {TensorView(start.data(), DType::i32, Shape{query_rows}), sizes.start_offset};
    a.query_offset = sizes.query_offset, a.first_head = sizes.first_head;
    a.scale = scale();
    a.dropout = {sizes.dropout, kSite, TensorView(mask_keys.data(), DType::i32, Shape{sizes.samples, 2})};
    return a;
  }

 private:
  static constexpr std::uint64_t kSite = (std::uint64_t{5} << 32U) + 99;
  double scale() const { return 1.0 / std::sqrt(static_cast<double>(sizes.head_dim)); }

  std::vector<std::int32_t> starts() const {
    std::vector<std::int32_t> all;
    for (int sample = 0; sample < sizes.samples; ++sample)
      for (int i = 0; i < sizes.queries; ++i) {
        int first = 0;
        for (const int border : sizes.borders)
          if (border <= i + sizes.query_offset) first = std::max(first, border);
        all.push_back(static_cast<std::int32_t>(sizes.start_offset) + sample * sizes.keys + first);
      }
    return all;
  }
  std::vector<std::int32_t> some_keys() {
    std::vector<std::int32_t> all;
    for (int i = 0; i < 2 * sizes.samples; ++i) all.push_back(static_cast<std::int32_t>(random()));
    return all;
  }
};

}  // namespace headwater::kernels
