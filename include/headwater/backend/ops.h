#pragma once
// The op catalogue: everything that a block computes, one struct an op. This header is the specification:
// formula, shapes, dtypes, what backward needs. A backend (backend.h) computes each of them; blocks call it
// with an op whose operands they name, and know neither CPU nor CUDA.
//
// `c` is the compute dtype (f32 or bf16; f64 in the tests' reference catalogue), `a` the accumulate dtype
// (f32; f64 there). Sums are taken in f32 or better. Letters as in tensor_view.h. Rows may be strided where a
// view is; all later dimensions are dense. T = B·S rows hold B samples of S tokens one after the other.
// Results depend on nothing but inputs and thread count.
//
// Each op has
//   kName       its name;
//   name()      where it is one of several functions, the name of that one: benchmarks print it;
//   operands()  which visits every operand as visit(name, use, operand), operand by reference;
//   check()     which throws InternalError where shapes or dtypes do not fit (a block is wrong, not the
//               person); every backend may rely on it;
//   flops()     where it multiplies matrices: the operations of its products, 2mnk each;
//   bytes()     where not every operand is moved whole: the least bytes that it must move;
//   scratch()   where it takes memory from its backend's workspace: how many bytes.
// An op is added here, to HEADWATER_OPS, and to every backend; docs/how-to/add-an-op.md goes through it.

#include "headwater/backend/op_arguments.h"
#include "headwater/backend/step_scalar.h"

namespace headwater::op {

// ---- memory

struct Zero {
  static constexpr const char* kName = "zero";
  TensorView x;  // any dtype

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("x", Use::write, o.x);
  }
  void check() const {}
};

// to = from, converted between f32, bf16 and f64; i32 to i32 as it is.
struct Copy {
  static constexpr const char* kName = "copy";
  TensorView from, to;  // of one shape

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("from", Use::read, o.from);
    visit("to", Use::write, o.to);
  }
  void check() const;
};

// y += x.
struct Add {
  static constexpr const char* kName = "add";
  TensorView x, y;  // of one shape; floating dtypes, which may differ

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("x", Use::read, o.x);
    visit("y", Use::update, o.y);
  }
  void check() const;
};

// ---- linear

// y = x wᵀ.
struct Linear {
  static constexpr const char* kName = "linear";
  TensorView x;  // c [T, K]
  TensorView w;  // c [N, K]
  TensorView y;  // c [T, N]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("x", Use::read, o.x);
    visit("w", Use::read, o.w);
    visit("y", Use::write, o.y);
  }
  void check() const;
  double flops() const;
  std::int64_t scratch(const Executor& executor) const;
};

// dx = dy w, or dx += dy w.
struct LinearInputGradient {
  static constexpr const char* kName = "linear_input_gradient";
  TensorView dy;  // c [T, N]
  TensorView w;   // c [N, K]
  TensorView dx;  // c [T, K]
  bool accumulate = false;

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("dy", Use::read, o.dy);
    visit("w", Use::read, o.w);
    visit("dx", o.accumulate ? Use::update : Use::write, o.dx);
  }
  void check() const;
  double flops() const;
  std::int64_t scratch(const Executor& executor) const;
};

// dw += dyᵀ x.
struct LinearWeightGradient {
  static constexpr const char* kName = "linear_weight_gradient";
  TensorView dy;  // c [T, N]
  TensorView x;   // c [T, K]
  TensorView dw;  // a [N, K]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("dy", Use::read, o.dy);
    visit("x", Use::read, o.x);
    visit("dw", Use::update, o.dw);
  }
  void check() const;
  double flops() const;
  std::int64_t scratch(const Executor& executor) const;
};

// ---- embedding

// out[t] = table[tokens[t] − first]; tokens outside [first, first + V) give zero (vocabulary shards).
struct Embedding {
  static constexpr const char* kName = "embedding";
  TensorView tokens;  // i32 [T]
  TensorView table;   // c [V, H]
  std::int64_t first = 0;
  TensorView out;  // c [T, H]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("tokens", Use::read, o.tokens);
    visit("table", Use::read, o.table);
    visit("out", Use::write, o.out);
  }
  void check() const;
  double bytes() const;  // of the table one row for each token
};

// d_table[tokens[t] − first] += d_out[t], always in the order of t.
struct EmbeddingBackward {
  static constexpr const char* kName = "embedding_backward";
  TensorView tokens;  // i32 [T]
  TensorView d_out;   // c [T, H]
  std::int64_t first = 0;
  TensorView d_table;  // a [V, H]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("tokens", Use::read, o.tokens);
    visit("d_out", Use::read, o.d_out);
    visit("d_table", Use::update, o.d_table);
  }
  void check() const;
  double bytes() const;  // of the table's gradient one row for each token
  std::int64_t scratch(const Executor& executor) const;
};

// ---- norm

// The norm of each row of x, as its arguments say (op_arguments.h).
struct Norm {
  static constexpr const char* kName = "norm";
  TensorView x;  // c [T, H]
  NormArguments norm;

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("x", Use::read, o.x);
    NormArguments::operands(o.norm, visit);
  }
  const char* name() const { return norm.centred() ? "layer_norm" : "rms_norm"; }
  void check() const { norm.check(x); }
};

// Its backward, with dx = addend + what the arguments say.
struct NormBackward {
  static constexpr const char* kName = "norm_backward";
  TensorView dy, x;        // c [T, H]
  TensorView addend = {};  // c [T, H]: a gradient that x has besides; may be dx itself, or empty (0)
  TensorView dx;           // c [T, H]
  NormBackwardArguments norm;

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("dy", Use::read, o.dy);
    visit("x", Use::read, o.x);
    visit("addend", Use::read, o.addend);
    visit("dx", Use::write, o.dx);
    NormBackwardArguments::operands(o.norm, visit);
  }
  const char* name() const { return norm.centred() ? "layer_norm_backward" : "rms_norm_backward"; }
  void check() const;
  std::int64_t scratch(const Executor& executor) const;
};

// ---- residual stream

// out = x + dropout(branch). Dropout's element of row s of a sample and column h is s·H + h.
struct ResidualAdd {
  static constexpr const char* kName = "residual_add";
  TensorView branch, x;  // c [T, H]
  Dropout dropout = {};
  TensorView out;  // c [T, H]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("branch", Use::read, o.branch);
    visit("x", Use::read, o.x);
    visit("keys", Use::read, o.dropout.keys);
    visit("out", Use::write, o.out);
  }
  void check() const;
};

// The norm of a residual sum: sum, and then Norm of sum.out as it was rounded.
struct ResidualNorm {
  static constexpr const char* kName = "residual_norm";
  ResidualAdd sum;
  NormArguments norm;

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    ResidualAdd::operands(o.sum, visit);
    NormArguments::operands(o.norm, visit);
  }
  const char* name() const { return norm.centred() ? "residual_layer_norm" : "residual_rms_norm"; }
  void check() const {
    sum.check();
    norm.check(sum.out);
  }
};

// d_branch = mask / (1 − p) ⊙ d_out. Dropout is on.
struct DropoutBackward {
  static constexpr const char* kName = "dropout_backward";
  TensorView d_out;  // c [T, H]
  Dropout dropout;
  TensorView d_branch;  // c [T, H]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("d_out", Use::read, o.d_out);
    visit("keys", Use::read, o.dropout.keys);
    visit("d_branch", Use::write, o.d_branch);
  }
  void check() const;
};

// ---- localized filtering (Yuan 2.0 §3.1)

// One causal 2-tap convolution is a product with both taps side by side, [prev | cur] = x·[W0; W1]ᵀ, and then
//   out[t] = prev[t − 1] + cur[t] + bias  (+ residual[t]),
// where prev[t − 1] is taken only if start[t] ≤ t − 1, and for the first row of a sample is before[b], the
// product of W0 with the vector before it (zero where `before` is empty). bias, residual and before may be
// empty.
struct LfaTaps {
  static constexpr const char* kName = "lfa_taps";
  TensorView products;  // c [T, 2N]
  Borders borders;
  std::int64_t samples = 1;  // B
  TensorView before = {};    // c [B, N]
  TensorView bias = {};      // c [N]
  TensorView residual = {};  // c [T, N]
  TensorView out;            // c [T, N]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("products", Use::read, o.products);
    visit("start", Use::read, o.borders.start);
    visit("before", Use::read, o.before);
    visit("bias", Use::read, o.bias);
    visit("residual", Use::read, o.residual);
    visit("out", Use::write, o.out);
  }
  void check() const;
};

// The second convolution with the norm that follows it: taps, and then Norm of taps.out as it was rounded.
struct LfaTapsNorm {
  static constexpr const char* kName = "lfa_taps_norm";
  LfaTaps taps;
  NormArguments norm;

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    LfaTaps::operands(o.taps, visit);
    NormArguments::operands(o.norm, visit);
  }
  const char* name() const { return norm.centred() ? "lfa_taps_layer_norm" : "lfa_taps_rms_norm"; }
  void check() const {
    taps.check();
    norm.check(taps.out);
  }
};

// d_products[t] = [d_out[t + 1] if token t + 1 of the same sample took prev[t], else 0 | d_out[t]];
// d_before[b] = d_out[first row of b] if it was taken, else 0; d_bias += Σ_t d_out[t]. d_before and d_bias
// may be empty.
struct LfaTapsBackward {
  static constexpr const char* kName = "lfa_taps_backward";
  TensorView d_out;  // c [T, N]
  Borders borders;
  std::int64_t samples = 1;  // B
  TensorView d_products;     // c [T, 2N]
  TensorView d_before = {};  // c [B, N]
  TensorView d_bias = {};    // a [N]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("d_out", Use::read, o.d_out);
    visit("start", Use::read, o.borders.start);
    visit("d_products", Use::write, o.d_products);
    visit("d_before", Use::write, o.d_before);
    visit("d_bias", Use::update, o.d_bias);
  }
  void check() const;
  std::int64_t scratch(const Executor& executor) const;
};

// ---- positions

// RoPE (Su et al. 2021), rotate-half, in place: pair (i, i + R/2) of the first R channels of a head turns by
// the angle whose (cos, sin) are table[position[t]], backwards where `inverse` is set.
struct Rotary {
  static constexpr const char* kName = "rotary";
  TensorView x;         // c [T, A, D]
  TensorView position;  // i32 [T]
  TensorView table;     // a [positions, R/2, 2], R ≤ D
  bool inverse = false;

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("x", Use::update, o.x);
    visit("position", Use::read, o.position);
    visit("table", Use::read, o.table);
  }
  void check() const;
  double bytes() const;  // without the table, which many tokens share
};

// ---- attention

// out = dropout(softmax(scale · q kᵀ, masked)) v, which never holds an Sq × Sk matrix; lse = ln Σ exp(scale ·
// q · k) over the keys in reach, natural logarithm, before dropout.
struct Attention {
  static constexpr const char* kName = "attention";
  AttentionArguments of;
  TensorView out;  // c [B·Sq, A, D]
  TensorView lse;  // a [B·Sq, A]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    AttentionArguments::operands(o.of, visit);
    visit("out", Use::write, o.out);
    visit("lse", Use::write, o.lse);
  }
  void check() const;
  double flops() const;  // q kᵀ and the product with v, over the pairs in causal reach
  std::int64_t scratch(const Executor& executor) const;
};

struct AttentionBackward {
  static constexpr const char* kName = "attention_backward";
  AttentionArguments of;
  TensorView out, lse;  // as Attention gave them
  TensorView d_out;     // c [B·Sq, A, D]
  TensorView dq;        // c [B·Sq, A, D]
  TensorView dk, dv;    // c [B·Sk, G, D]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    AttentionArguments::operands(o.of, visit);
    visit("out", Use::read, o.out);
    visit("lse", Use::read, o.lse);
    visit("d_out", Use::read, o.d_out);
    visit("dq", Use::write, o.dq);
    visit("dk", Use::write, o.dk);
    visit("dv", Use::write, o.dv);
  }
  void check() const;
  double flops() const;  // the scores again, then the gradients of probabilities, q, k and v
  std::int64_t scratch(const Executor& executor) const;
};

// ---- activation

// SwiGLU (Shazeer 2020): out = silu(x[:, :F]) ⊙ x[:, F:].
struct Swiglu {
  static constexpr const char* kName = "swiglu";
  TensorView x;    // c [T, 2F]
  TensorView out;  // c [T, F]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("x", Use::read, o.x);
    visit("out", Use::write, o.out);
  }
  void check() const;
};

struct SwigluBackward {
  static constexpr const char* kName = "swiglu_backward";
  TensorView d_out;  // c [T, F]
  TensorView x;      // c [T, 2F]
  TensorView dx;     // c [T, 2F]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("d_out", Use::read, o.d_out);
    visit("x", Use::read, o.x);
    visit("dx", Use::write, o.dx);
  }
  void check() const;
};

// relu: max(x, 0). gelu: x · Φ(x) (Hendrycks & Gimpel 2016). gelu_tanh: its approximation
// x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))).
enum class ActivationFunction : std::uint8_t { relu, gelu, gelu_tanh };

// out = f(x), element by element.
struct Activation {
  static constexpr const char* kName = "activation";
  ActivationFunction function = ActivationFunction::gelu;
  TensorView x;    // c [T, F]
  TensorView out;  // c [T, F]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("x", Use::read, o.x);
    visit("out", Use::write, o.out);
  }
  const char* name() const;
  void check() const;
};

// dx = d_out ⊙ f'(x); relu's slope at 0 is 0.
struct ActivationBackward {
  static constexpr const char* kName = "activation_backward";
  ActivationFunction function = ActivationFunction::gelu;
  TensorView d_out;  // c [T, F]
  TensorView x;      // c [T, F]
  TensorView dx;     // c [T, F]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("d_out", Use::read, o.d_out);
    visit("x", Use::read, o.x);
    visit("dx", Use::write, o.dx);
  }
  const char* name() const;
  void check() const;
};

// ---- cross-entropy over a shard of the vocabulary

// For each row the maximum of its logits, Σ exp(logit − maximum), and the label's logit (0 where the label
// lies outside [first, first + V)). Columns from `valid` on are padding and do not count.
struct SoftmaxStatistics {
  static constexpr const char* kName = "softmax_statistics";
  TensorView logits;  // c or a [n, V]
  TensorView labels;  // i32 [n]; −1: masked
  std::int64_t first = 0, valid = 0;
  TensorView statistics;  // a [n, 3]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("logits", Use::read, o.logits);
    visit("labels", Use::read, o.labels);
    visit("statistics", Use::write, o.statistics);
  }
  void check() const;
};

// The statistics of the whole vocabulary from those of its shards, one shard after the other.
struct CombineStatistics {
  static constexpr const char* kName = "combine_statistics";
  TensorView shards;      // a [shards · n, 3]
  TensorView statistics;  // a [n, 3]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("shards", Use::read, o.shards);
    visit("statistics", Use::write, o.statistics);
  }
  void check() const;
};

// scalars[loss_sum] += Σ over unmasked rows of log(sum) + maximum − label's logit, taken in f64 in row order.
struct CrossEntropyLoss {
  static constexpr const char* kName = "cross_entropy_loss";
  TensorView labels;      // i32 [n]; −1: masked
  TensorView statistics;  // a [n, 3], of the whole vocabulary
  TensorView scalars;     // f64 [kStepScalars]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("labels", Use::read, o.labels);
    visit("statistics", Use::read, o.statistics);
    visit("scalars", Use::update, o.scalars);
  }
  void check() const;
};

// CrossEntropyLoss, and logits ← (softmax − onehot) · (mask / scalars[targets]), zero in padding columns.
struct CrossEntropyBackward {
  static constexpr const char* kName = "cross_entropy_backward";
  TensorView logits;  // c or a [n, V]
  TensorView labels;  // i32 [n]; −1: masked
  std::int64_t first = 0, valid = 0;
  TensorView statistics;  // a [n, 3], of the whole vocabulary
  TensorView scalars;     // f64 [kStepScalars]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("logits", Use::update, o.logits);
    visit("labels", Use::read, o.labels);
    visit("statistics", Use::read, o.statistics);
    visit("scalars", Use::update, o.scalars);
  }
  void check() const;
  CrossEntropyLoss loss() const { return {labels, statistics, scalars}; }
};

// ---- optimizer

// sum += Σ x².
struct AddSquaredNorm {
  static constexpr const char* kName = "add_squared_norm";
  TensorView x;    // a [n]
  TensorView sum;  // f64 [1]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("x", Use::read, o.x);
    visit("sum", Use::update, o.sum);
  }
  void check() const;
  std::int64_t scratch(const Executor& executor) const;
};

// Decides the step. scalars[apply] = 1 where loss_sum and norm_squared are finite, else 0; updates += apply;
// clip_factor = min(1, clip / (√norm_squared + 1e-6)), or 1 where clip is 0 or the step is not applied.
struct DecideStep {
  static constexpr const char* kName = "decide_step";
  double clip = 0.0;
  TensorView scalars;  // f64 [kStepScalars]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("scalars", Use::update, o.scalars);
  }
  void check() const;
};

// AdamW (Loshchilov & Hutter 2019), with g = gradient · scalars[clip_factor] and t = scalars[updates]:
//   m = β1 m + (1 − β1) g;  v = β2 v + (1 − β2) g²;
//   master −= lr (m/(1 − β1^t) / (√(v/(1 − β2^t)) + ε) + weight_decay · master);
// weight gets the new master rounded. Nothing changes where scalars[apply] is 0.
struct AdamW {
  static constexpr const char* kName = "adamw";
  TensorView master;                       // a [n]
  TensorView gradient;                     // a [n]
  TensorView first_moment, second_moment;  // a [n]
  TensorView weight;                       // c [n]; may be the master itself
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0.0;
  StochasticRounding rounding = {};
  TensorView scalars;  // f64 [kStepScalars]

  template <class Op, class Visit>
  static void operands(Op& o, const Visit& visit) {
    visit("master", Use::update, o.master);
    visit("gradient", Use::read, o.gradient);
    visit("first_moment", Use::update, o.first_moment);
    visit("second_moment", Use::update, o.second_moment);
    visit("weight", Use::write, o.weight);
    visit("scalars", Use::read, o.scalars);
  }
  void check() const;
  double bytes() const;  // a weight that is the master is written once
};

// Every op: what a backend declares, times, records and is tested on is made from this list.
#define HEADWATER_OPS(X)  \
  X(Zero)                 \
  X(Copy)                 \
  X(Add)                  \
  X(Linear)               \
  X(LinearInputGradient)  \
  X(LinearWeightGradient) \
  X(Embedding)            \
  X(EmbeddingBackward)    \
  X(Norm)                 \
  X(NormBackward)         \
  X(ResidualAdd)          \
  X(ResidualNorm)         \
  X(DropoutBackward)      \
  X(LfaTaps)              \
  X(LfaTapsNorm)          \
  X(LfaTapsBackward)      \
  X(Rotary)               \
  X(Attention)            \
  X(AttentionBackward)    \
  X(Swiglu)               \
  X(SwigluBackward)       \
  X(Activation)           \
  X(ActivationBackward)   \
  X(SoftmaxStatistics)    \
  X(CombineStatistics)    \
  X(CrossEntropyLoss)     \
  X(CrossEntropyBackward) \
  X(AddSquaredNorm)       \
  X(DecideStep)           \
  X(AdamW)

// The op's name, or that of the one of its functions that it computes.
template <class Op>
const char* name_of(const Op& op) {
  if constexpr (requires { op.name(); })
    return op.name();
  else
    return Op::kName;
}

// Least bytes that the op must move: each operand read once, each result written once, unless it says
// otherwise.
template <class Op>
double bytes_of(const Op& op) {
  if constexpr (requires { op.bytes(); }) {
    return op.bytes();
  } else {
    double bytes = 0.0;
    Op::operands(op, [&](const char*, Use use, const TensorView& operand) {
      if (operand) bytes += (use == Use::update ? 2.0 : 1.0) * static_cast<double>(operand.bytes());
    });
    return bytes;
  }
}

// Bytes that the op takes from its backend's workspace.
template <class Op>
std::int64_t scratch_of(const Op& op, const Executor& executor) {
  if constexpr (requires { op.scratch(executor); })
    return op.scratch(executor);
  else
    return 0;
}

// Floating-point operations of the op's matrix products.
template <class Op>
double flops_of(const Op& op) {
  if constexpr (requires { op.flops(); })
    return op.flops();
  else
    return 0.0;
}

}  // namespace headwater::op
