#pragma once
// The op catalogue: everything that a block computes, on one compute queue of one device. This header is the
// specification: formula, shapes, dtypes, what backward needs. Blocks call it and know neither CPU nor CUDA.
//
// A Backend belongs to one thread. Ops run in order on queue(); inputs made elsewhere are awaited with
// queue().wait(). Letters as in tensor_view.h. `c` is the compute dtype (f32 or bf16; f64 in the tests'
// reference catalogue), `a` the accumulate dtype (f32; f64 there). Sums are taken in f32 or better. Rows may
// be strided where a view is; all later dimensions are dense. T = B·S rows hold B samples of S tokens one
// after the other. No op allocates: scratch comes from use_workspace(). Shapes that do not fit are
// InternalErrors. Results depend on nothing but inputs and thread count.

#include "headwater/model/step_scalar.h"
#include "headwater/tensor/queue.h"
#include "headwater/tensor/tensor_view.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>

namespace headwater {

// A linear's weight [N, K]: the canonical view in compute dtype, and a form that the backend owns (packed,
// transposed, later FP8 with its scales), written by refresh() once per update. Empty where products read the
// canonical view.
struct Weight {
  TensorView canonical;
  TensorView prepared;
};

// Inverted dropout: kept elements are multiplied by 1 / (1 − p), with p a multiple of 2^-16. Element e of
// sample b is kept when 16 bits reach p · 2^16: the lower half of word (e mod 8) / 2 of philox<7>(key b,
// counter e / 8, stream `site`) where e is even, the upper half where it is odd (base/random.h). The key of
// sample b, made on the host from (seed, step, global sample), is the 64 bits of row b of `keys` (i32 [B, 2],
// low word first), so that neither layout nor recomputation changes a mask. `site` tells layer and op. Off
// where probability is 0.
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
};

// Which rows are borders. `start[t]` is the first row that token t may reach, as an index into the flattened
// B·S axis that row 0 of these tensors stands at index `offset` of (0 but under sequence shards).
struct Borders {
  TensorView start;  // i32 [T]
  std::int64_t offset = 0;
};

struct AttentionArgs {
  TensorView q;              // c [B·Sq, A, D]
  TensorView k, v;           // c [B·Sk, G, D]; query head h reads KV head h / (A / G)
  std::int64_t samples = 1;  // B
  Borders borders;  // start[t] for each query row: the first key, as an index into the keys' B·Sk rows
  // Query i of a sample (i from 0) reaches its keys up to index i + query_offset: 0 in training, the number
  // of cached tokens in generation.
  std::int64_t query_offset = 0;
  double scale = 1.0;  // on the scores, 1/√D
  // On the probabilities; element ((first_head + head) · Sq + i) · 8⌈Sk/8⌉ + j of its sample for query i and
  // key j.
  Dropout dropout;
  std::int64_t first_head = 0;  // which of the layer's heads head 0 of q is
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

struct AdamWArgs {
  TensorView master;                       // a [n], updated
  TensorView gradient;                     // a [n]
  TensorView first_moment, second_moment;  // a [n], updated
  TensorView weight;                       // c [n], gets the new master rounded; may be the master itself
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0.0;
  StochasticRounding rounding = {};
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual Device device() const = 0;
  virtual Queue& queue() = 0;
  virtual void use_workspace(TensorView bytes) = 0;  // sized by model/op_workspace.h; i32 view

  // ---- repetition
  // Does what work() does: ops of this backend, the same ones on the same memory each time that it comes with
  // this key. It neither records nor awaits events, nor copies from or to the host. A backend may record what
  // the ops launch, and launch that again without calling work().
  virtual void repeat(std::uint64_t /*key*/, const std::function<void()>& work) { work(); }

  // ---- memory
  virtual void zero(TensorView x) = 0;
  // same shape; converts between f32, bf16, f64
  virtual void copy(TensorView from, TensorView to) = 0;
  virtual void add(TensorView x, TensorView y) = 0;  // y += x; dtypes may differ
  // dense, same dtype; host memory may be reused at once
  virtual void to_device(TensorView host, TensorView device) = 0;
  virtual void to_host(TensorView device, TensorView host) = 0;  // returns when the host memory holds it

  // ---- linear: y = x wᵀ; x c [T, K], w c [N, K], y c [T, N]
  virtual void refresh(Weight& weight) = 0;  // after the canonical view changed
  virtual void linear(TensorView x, const Weight& w, TensorView y) = 0;
  // dx = dy w, or dx += dy w.
  virtual void linear_input_gradient(TensorView dy, const Weight& w, TensorView dx, bool accumulate) = 0;
  // dw += dyᵀ x; dw a [N, K].
  virtual void linear_weight_gradient(TensorView dy, TensorView x, TensorView dw) = 0;

  // ---- embedding: out[t] = table[tokens[t] − first]; rows outside [first, first + V) give zero (vocabulary
  // shards)
  virtual void embedding(TensorView tokens /*i32 [T]*/, TensorView table /*c [V, H]*/, std::int64_t first,
                         TensorView out /*c [T, H]*/) = 0;
  // d_table[tokens[t] − first] += d_out[t], always in the order of t; d_table a [V, H].
  virtual void embedding_backward(TensorView tokens, TensorView d_out, std::int64_t first,
                                  TensorView d_table) = 0;

  // ---- RMSNorm (Zhang & Sennrich 2019): y = g ⊙ x · r, r = 1/√(mean(x²) + ε); x, y c [T, H], g c [H], r a
  // [T]
  virtual void rms_norm(TensorView x, TensorView gain, double epsilon, TensorView y, TensorView rstd) = 0;
  // n = x·r; dx = r(dy⊙g − n·mean(dy⊙g⊙n)), or dx += that; d_gain a [H] += Σ_t dy⊙n.
  virtual void rms_norm_backward(TensorView dy, TensorView x, TensorView gain, TensorView rstd, TensorView dx,
                                 bool accumulate, TensorView d_gain) = 0;

  // ---- residual: out = x + dropout(branch); [T, H]; element s·H + h of its sample
  virtual void residual_add(TensorView branch, TensorView x, const Dropout& dropout, TensorView out) = 0;
  // out = x + dropout(branch), then y = RMSNorm(out).
  virtual void residual_rms_norm(TensorView branch, TensorView x, const Dropout& dropout, TensorView gain,
                                 double epsilon, TensorView out, TensorView y, TensorView rstd) = 0;
  // d_branch = mask / (1 − p) ⊙ d_out; called only where dropout is on.
  virtual void dropout_backward(TensorView d_out, const Dropout& dropout, TensorView d_branch) = 0;

  // ---- LFA (Yuan 2.0 §3.1): one causal 2-tap convolution is a product with both taps side by side, [prev |
  // cur] = x·[W0; W1]ᵀ, c [T, 2N], and then
  //   out[t] = prev[t − 1] + cur[t] + bias  (+ residual[t]),
  // where prev[t − 1] is taken only if start[t] ≤ t − 1, and for the first row of a sample is before[b], the
  // product of W0 with the vector before it (zero where `before` is empty). bias, residual and before may be
  // empty views. out c [T, N], bias c [N], residual c [T, N], before c [B, N].
  virtual void lfa_taps(TensorView products, const Borders& borders, std::int64_t samples, TensorView before,
                        TensorView bias, TensorView residual, TensorView out) = 0;
  // d_products[t] = [d_out[t + 1] if token t + 1 of the same sample took prev[t], else 0 | d_out[t]];
  // d_before[b] = d_out[first row of b] if it was taken, else 0 (may be empty); d_bias a [N] += Σ_t d_out[t].
  virtual void lfa_taps_backward(TensorView d_out, const Borders& borders, std::int64_t samples,
                                 TensorView d_products, TensorView d_before, TensorView d_bias) = 0;
  // The second convolution with what follows it: z = taps + bias + residual, y = RMSNorm(z).
  virtual void lfa_taps_rms_norm(TensorView products, const Borders& borders, std::int64_t samples,
                                 TensorView before, TensorView bias, TensorView residual, TensorView gain,
                                 double epsilon, TensorView z, TensorView y, TensorView rstd) = 0;

  // ---- RoPE (Su et al. 2021), rotate-half: in place on x c [T, A, D]; pair (i, i + R/2) of the first R =
  // 2·columns(table)/2 channels turns by the angle whose (cos, sin) are table[position[t]] (a [positions,
  // R/2, 2]); `inverse` for backward.
  virtual void rotary(TensorView x, TensorView position /*i32 [T]*/, TensorView table, bool inverse) = 0;

  // ---- attention: out = dropout(softmax(scale · q kᵀ, masked)) v; never holds an Sq × Sk matrix
  // lse = ln Σ exp(scale · q · k) over the keys in reach, natural logarithm, before dropout. Every query
  // reaches at least its own key: start[t] ≤ t.
  virtual void attention(const AttentionArgs& args, TensorView out /*c [B·Sq, A, D]*/,
                         TensorView lse /*a [B·Sq, A]*/) = 0;
  virtual void attention_backward(const AttentionArgs& args, TensorView out, TensorView lse, TensorView d_out,
                                  TensorView dq, TensorView dk, TensorView dv) = 0;

  // ---- SwiGLU: out = silu(x[:, :F]) ⊙ x[:, F:]; x c [T, 2F], out c [T, F]
  virtual void swiglu(TensorView x, TensorView out) = 0;
  virtual void swiglu_backward(TensorView d_out, TensorView x, TensorView dx) = 0;

  // ---- cross-entropy over a shard of the vocabulary
  // logits c or a [n, V]; statistics a [n, 3]: per row the maximum, Σ exp(logit − maximum), and the label's
  // logit (0 where the label lies outside [first, first + V)). Columns ≥ `valid` (padding) do not count.
  virtual void softmax_statistics(TensorView logits, TensorView labels /*i32 [n], −1: masked*/,
                                  std::int64_t first, std::int64_t valid, TensorView statistics) = 0;
  // Statistics of the whole vocabulary from those of its `shards` shards: shards a [shards · n, 3], one shard
  // after the other; statistics a [n, 3].
  virtual void combine_statistics(TensorView shards, TensorView statistics) = 0;
  // scalars[loss_sum] += Σ over unmasked rows of log(sum) + maximum − label's logit, taken in f64 in row
  // order; logits ← (softmax − onehot) · (mask / scalars[targets]), zero in padding columns.
  virtual void cross_entropy_backward(TensorView logits, TensorView labels, std::int64_t first,
                                      std::int64_t valid, TensorView statistics, TensorView scalars) = 0;
  // The loss alone (evaluation).
  virtual void cross_entropy_loss(TensorView labels, TensorView statistics, TensorView scalars) = 0;

  // ---- optimizer; `scalars` f64 [kStepScalars]
  virtual void add_squared_norm(TensorView x /*a [n]*/, TensorView sum /*f64 [1]*/) = 0;
  // Decides the step: apply = loss_sum and norm_squared are finite; updates += apply; clip_factor as above
  // (`clip` 0: off).
  virtual void decide_step(double clip, TensorView scalars) = 0;
  // AdamW (Loshchilov & Hutter 2019), g = gradient · clip_factor, t = updates:
  // m = β1 m + (1 − β1) g; v = β2 v + (1 − β2) g²; master −= lr (m/(1 − β1^t) / (√(v/(1 − β2^t)) + ε) + decay
  // · master). Nothing changes where apply is 0.
  virtual void adamw(const AdamWArgs& args, TensorView scalars) = 0;
};

}  // namespace headwater
