#pragma once
// Arguments that several ops of the catalogue (ops.h) share.

#include "headwater/tensor/tensor_view.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace headwater::op {

// How an op uses an operand. `update` reads it and writes it: it adds to it or changes it in place.
enum class Use : std::uint8_t { read, write, update };

// The device that a backend computes on, as far as an op's scratch depends on it.
struct Executor {
  Device::Kind device = Device::Kind::cpu;
  int threads = 1;  // of a CPU
};

}  // namespace headwater::op

namespace headwater {

// Inverted dropout: kept elements are multiplied by 1 / (1 − p), with p a multiple of 2^-16. Element e of
// sample b is kept when 16 bits reach p · 2^16: the lower half of word (e mod 8) / 2 of philox<7>(key b,
// counter e / 8, stream `site`) where e is even, the upper half where it is odd (base/random.h). The key of
// sample b, made on the host from (seed, step, global sample), is the 64 bits of row b of `keys` (i32 [B, 2],
// low word first), so that neither layout nor recomputation changes a mask. `site` tells layer and op. It is
// off where probability is 0.
struct Dropout {
  double probability = 0.0;
  std::uint64_t site = 0;
  TensorView keys;
  // Where rows are a part of the B·S tokens (a token shard): a sample's tokens S, and the token that row 0
  // is. With S = 0 the rows are all of them, B equal samples.
  std::int64_t sequence = 0, first_row = 0;

  bool on() const { return probability > 0.0; }
  // Where it is on: p · 2^16 of the nearest p that is neither 0 nor 1, and 1 / (1 − p).
  std::uint32_t threshold() const {
    return static_cast<std::uint32_t>(std::clamp(std::round(probability * 0x1p16), 1.0, 0x1p16 - 1.0));
  }
  double scale() const { return 1.0 / (1.0 - threshold() * 0x1p-16); }

  // The number of samples, and the tokens of one, where the elements are those of `rows` rows. Without
  // dropout the samples are not told, and do not matter: one.
  std::int64_t samples() const { return on() ? keys.rows() : 1; }
  std::int64_t tokens_per_sample(std::int64_t rows) const {
    return sequence > 0 ? sequence : std::max<std::int64_t>(rows / samples(), 1);
  }
  // Throws InternalError unless `rows` rows lie inside the samples.
  void check(std::int64_t rows) const;
};

// Where documents begin. `start[t]` is the first row that token t may reach, as an index into the flattened
// B·S axis; row 0 of the op's tensors stands at index `offset` of that axis (0 but under sequence shards).
struct Borders {
  TensorView start;  // i32 [T]
  std::int64_t offset = 0;
};

// The norm of an op that norms rows x of c [T, H]. Without `mean` and `bias` it is RMSNorm (Zhang & Sennrich
// 2019):
//   y = gain ⊙ x · rstd, rstd = 1/√(M(x²) + epsilon), where M is the mean over a row.
// With both it is LayerNorm (Ba et al. 2016):
//   y = gain ⊙ (x − mean) · rstd + bias, mean = M(x), rstd = 1/√(M((x − mean)²) + epsilon).
struct NormArguments {
  TensorView gain;  // c [H]
  double epsilon = 1e-6;
  TensorView y;          // c [T, H]
  TensorView rstd;       // a [T], for the backward
  TensorView bias = {};  // c [H]
  TensorView mean = {};  // a [T], for the backward

  template <class Norm, class Visit>
  static void operands(Norm& n, const Visit& visit) {
    visit("gain", op::Use::read, n.gain);
    visit("bias", op::Use::read, n.bias);
    visit("y", op::Use::write, n.y);
    visit("rstd", op::Use::write, n.rstd);
    visit("mean", op::Use::write, n.mean);
  }
  bool centred() const { return static_cast<bool>(mean); }  // LayerNorm
  void check(const TensorView& x) const;
};

// The backward of such a norm, without the rows that it goes by. Without `mean` it is that of RMSNorm, with
// n = x · rstd and d = dy ⊙ gain:
//   dx = rstd · (d − n · M(d ⊙ n)), d_gain += Σ_t dy ⊙ n.
// With `mean` it is that of LayerNorm, with n = (x − mean) · rstd:
//   dx = rstd · (d − M(d) − n · M(d ⊙ n)), d_gain as above, d_bias += Σ_t dy.
// d_gain is empty where the gain is not trained, d_bias where the bias is not.
struct NormBackwardArguments {
  TensorView gain;         // c [H]
  TensorView rstd;         // a [T], as the forward gave it
  TensorView d_gain = {};  // a [H]
  TensorView mean = {};    // a [T], as the forward gave it
  TensorView d_bias = {};  // a [H]

  template <class Norm, class Visit>
  static void operands(Norm& n, const Visit& visit) {
    visit("gain", op::Use::read, n.gain);
    visit("rstd", op::Use::read, n.rstd);
    visit("mean", op::Use::read, n.mean);
    visit("d_gain", op::Use::update, n.d_gain);
    visit("d_bias", op::Use::update, n.d_bias);
  }
  bool centred() const { return static_cast<bool>(mean); }  // LayerNorm's
  void check(const TensorView& x) const;
};

struct AttentionArguments {
  TensorView q;              // c [B·Sq, A, D]
  TensorView k, v;           // c [B·Sk, G, D]; query head h reads KV head h / (A / G)
  std::int64_t samples = 1;  // B
  // start[t] for each query row: the first key, as an index into the keys' B·Sk rows. Every query reaches at
  // least its own key: start[t] ≤ t.
  Borders borders;
  // Query i of a sample (i from 0) reaches its keys up to index i + query_offset: 0 in training, the number
  // of cached tokens in generation.
  std::int64_t query_offset = 0;
  double scale = 1.0;  // on the scores, 1/√D
  // On the probabilities; element ((first_head + head) · Sq + i) · 8⌈Sk/8⌉ + j of its sample for query i and
  // key j.
  Dropout dropout;
  std::int64_t first_head = 0;  // which of the layer's heads head 0 of q is

  std::int64_t queries() const { return q.rows() / samples; }  // Sq
  std::int64_t keys() const { return k.rows() / samples; }     // Sk

  template <class Arguments, class Visit>
  static void operands(Arguments& a, const Visit& visit) {
    visit("q", op::Use::read, a.q);
    visit("k", op::Use::read, a.k);
    visit("v", op::Use::read, a.v);
    visit("start", op::Use::read, a.borders.start);
    visit("keys", op::Use::read, a.dropout.keys);
  }
  void check() const;
  // Returns the FLOPs of one product over all pairs of a query and a key in its causal reach. Borders of
  // documents, which make the true work less, lie on the device and are not looked at.
  double product_flops() const;
};

// A bf16 weight is its master rounded to nearest, or, where this is on, up or down by chance, so that its
// mean is the master. Element e of a parameter goes by the lower half of word e mod 4 of philox(key, counter
// e / 4, stream `updates`), so that no layout changes it. Element i of the call is number n = begin + i of a
// box: e = first + (n / columns) · row + n mod columns, or first + n where columns is 0.
struct StochasticRounding {
  bool on = false;
  std::uint64_t key = 0;
  std::int64_t begin = 0, first = 0, columns = 0, row = 0;
  std::uint64_t element(std::int64_t i) const {
    const std::int64_t n = begin + i;
    return static_cast<std::uint64_t>(columns == 0 ? first + n : first + n / columns * row + n % columns);
  }
};

}  // namespace headwater
