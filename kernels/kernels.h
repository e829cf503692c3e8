#pragma once
// Every launcher of kernels/: what it computes, shapes, alignment. A launcher takes device pointers, sizes
// and a stream, queues its kernels there and returns; errors show in cudaGetLastError(), which the backend
// asks. T is float or bf16, and sums are fp32, where nothing else is said. "16-aligned": addresses (and row
// strides, in bytes) are multiples of 16.

#include "workspace.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <string>

namespace headwater::kernels {

using bf16 = __nv_bfloat16;

// The kernel whose launch by this thread was refused last, and what it asked for: "forward_kernel<64>, 49152
// bytes of shared memory for each block"; empty where none was since this was asked.
std::string take_refused_launch();

// ---- memory (fill.cu)

// x[i] = value, i < n; any alignment of float.
void fill(float* x, float value, std::int64_t n, cudaStream_t stream);

// ---- matrices and dropout, as arguments of what follows

// A matrix in device memory whose rows begin `stride` elements apart.
template <class T>
struct Rows {
  T* data = nullptr;
  std::int64_t stride = 0;
  __host__ __device__ T* row(std::int64_t t) const { return data + t * stride; }
};

// op_arguments.h, `Dropout`: element e of sample b is kept, and multiplied by `scale`, where half (e mod 8)
// of the words of philox<7>(key b, counter e / 8, stream `site`) reaches the upper half of `threshold`, whose
// lower half is 0; else it becomes 0.
struct DropoutMask {
  const std::int32_t* keys = nullptr;  // [B, 2], low word first, on the device; null where dropout is off
  std::uint64_t site = 0;
  std::uint32_t threshold = 0;  // p · 2^32
  float scale = 1.0F;           // 1 / (1 − p); 1 where dropout is off
};

// The mask of a matrix whose row t is token first_row + t of samples of `sequence` tokens: column h of token
// s of a sample is element s · columns + h.
struct RowDropout {
  DropoutMask mask;
  std::int64_t sequence = 1, first_row = 0;
};

// y += x; y = x. Rows of any stride, any alignment; by 16 bytes where addresses and strides are 16-aligned.
// float, bf16 and double on either side: with double one element at a time, for the few numbers that are.
// Bytes an element: both types', and y's once more to add.
template <class From, class To>
void add(Rows<const From> x, Rows<To> y, std::int64_t rows, std::int64_t columns, cudaStream_t stream);
template <class From, class To>
void copy(Rows<const From> x, Rows<To> y, std::int64_t rows, std::int64_t columns, cudaStream_t stream);

// ---- rows: from here to the optimizer, rows may have any stride and width. 16 bytes are moved at once where
// all matrices and vectors are 16-aligned and `columns` is a multiple of 16 / sizeof(T); one element at a
// time otherwise. "Floor" is the traffic with memory that cannot be avoided, in elements of T for each of the
// rows · columns. ----

// out = x + dropout(branch); `out` may be x. Floor 3; with dropout 7/8 of a Philox round an element.
template <class T>
void residual_add(Rows<const T> branch, Rows<const T> x, const RowDropout& dropout, Rows<T> out,
                  std::int64_t rows, std::int64_t columns, cudaStream_t stream);
// d_branch = mask / (1 − p) ⊙ d_out; may be in place. Floor 2.
template <class T>
void dropout_backward(Rows<const T> d_out, const RowDropout& dropout, Rows<T> d_branch, std::int64_t rows,
                      std::int64_t columns, cudaStream_t stream);

// ---- activations (activation.cu)

// out = silu(x[:, :F]) ⊙ x[:, F:]; x [rows, 2F], out [rows, F], columns = F. Floor 3.
template <class T>
void swiglu(Rows<const T> x, Rows<T> out, std::int64_t rows, std::int64_t columns, cudaStream_t stream);
// dx [rows, 2F]; may be x. Floor 5.
template <class T>
void swiglu_backward(Rows<const T> d_out, Rows<const T> x, Rows<T> dx, std::int64_t rows,
                     std::int64_t columns, cudaStream_t stream);

// gelu: x·Φ(x); gelu_tanh: its approximation by tanh. May be in place. Floor 2 and 3.
enum class Activation : std::uint8_t { relu, gelu, gelu_tanh };
template <class T>
void activation(Activation which, Rows<const T> x, Rows<T> out, std::int64_t rows, std::int64_t columns,
                cudaStream_t stream);
template <class T>
void activation_backward(Activation which, Rows<const T> d_out, Rows<const T> x, Rows<T> dx,
                         std::int64_t rows, std::int64_t columns, cudaStream_t stream);

// ---- RMSNorm (norm.cu, norm_backward.cu)

// y = g ⊙ x·r, r = 1/√(mean(x²) + ε), rstd[row] = r. Floor 2; of a row wider than 2048 chunks of 16 bytes
// what lies beyond is read twice (from cache).
template <class T>
void rms_norm(Rows<const T> x, const T* gain, double epsilon, Rows<T> y, float* rstd, std::int64_t rows,
              std::int64_t columns, cudaStream_t stream);
// out = x + dropout(branch), y = RMSNorm(out); `out` may be x. Floor 4.
template <class T>
void residual_rms_norm(Rows<const T> branch, Rows<const T> x, const RowDropout& dropout, const T* gain,
                       double epsilon, Rows<T> out, Rows<T> y, float* rstd, std::int64_t rows,
                       std::int64_t columns, cudaStream_t stream);
// n = x·r; dx = addend + r(dy ⊙ g − n·mean(dy ⊙ g ⊙ n)); d_gain += Σ over rows of dy ⊙ n, in an order that
// only the shape decides; d_gain may be null. The addend is null (0), dx itself, or a matrix that shares no
// memory with dx. workspace: column_sums_bytes, 4-byte aligned. Floor 3, or 4 with an addend.
template <class T>
void rms_norm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, const float* rstd,
                       Rows<const T> addend, Rows<T> dx, float* d_gain, void* workspace, std::int64_t rows,
                       std::int64_t columns, cudaStream_t stream);

// ---- LayerNorm (layer_norm.cu, layer_norm_backward.cu)

// y = g ⊙ n + b, n = (x − m)·r, m = mean(x), r = 1/√(mean((x − m)²) + ε); mean[row] = m, rstd[row] = r.
// Floor 2.
template <class T>
void layer_norm(Rows<const T> x, const T* gain, const T* bias, double epsilon, Rows<T> y, float* mean,
                float* rstd, std::int64_t rows, std::int64_t columns, cudaStream_t stream);
// out = x + dropout(branch), y = LayerNorm(out); `out` may be x. Floor 4.
template <class T>
void residual_layer_norm(Rows<const T> branch, Rows<const T> x, const RowDropout& dropout, const T* gain,
                         const T* bias, double epsilon, Rows<T> out, Rows<T> y, float* mean, float* rstd,
                         std::int64_t rows, std::int64_t columns, cudaStream_t stream);
// d = dy ⊙ g; dx = addend + r(d − mean(d) − n·mean(d ⊙ n)), with an addend as above; d_gain += Σ over rows of
// dy ⊙ n, d_bias += Σ dy, in an order that only the shape decides; both may be null. workspace: twice
// column_sums_bytes, 4-byte aligned. Floor 3, or 4 with an addend.
template <class T>
void layer_norm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, const float* mean,
                         const float* rstd, Rows<const T> addend, Rows<T> dx, float* d_gain, float* d_bias,
                         void* workspace, std::int64_t rows, std::int64_t columns, cudaStream_t stream);

// ---- localized filtering (lfa.cu; Yuan 2.0 §3.1)

// Rows are samples of `sequence` tokens one after the other. Row t takes the tap of the row before it where
// start[t] − offset ≤ t − 1.
struct LfaBorders {
  const std::int32_t* start = nullptr;
  std::int64_t offset = 0, sequence = 1;
  __host__ __device__ bool taken(std::int64_t t) const { return start[t] - offset <= t - 1; }
  __host__ __device__ std::int64_t sample(std::int64_t t) const {
    return static_cast<std::uint32_t>(t) / static_cast<std::uint32_t>(sequence);
  }
  __host__ __device__ bool first_of_sample(std::int64_t t) const { return t == sample(t) * sequence; }
};

// The terms of the op's sum: [prev | cur] products [rows, 2·columns], and if they are not null the vectors
// before each sample's first row [samples, columns], a bias [columns] and a residual [rows, columns].
template <class T>
struct Taps {
  Rows<const T> products, before;
  const T* bias = nullptr;
  Rows<const T> residual;
};

// out[t] = prev[t − 1] (before[b] for the first row of sample b) where it is taken + cur[t] + bias +
// residual[t]. Floor 3, 4 with a residual.
template <class T>
void lfa_taps(const Taps<T>& taps, const LfaBorders& borders, Rows<T> out, std::int64_t rows,
              std::int64_t columns, cudaStream_t stream);
// z = that, y = RMSNorm(z). Floor 5 with a residual.
template <class T>
void lfa_taps_rms_norm(const Taps<T>& taps, const LfaBorders& borders, const T* gain, double epsilon,
                       Rows<T> z, Rows<T> y, float* rstd, std::int64_t rows, std::int64_t columns,
                       cudaStream_t stream);
// d_products[t] = [d_out[t + 1] where token t + 1 of the same sample took prev[t], else 0 | d_out[t]];
// d_before[b] (may be null) = d_out of the first row of b where it was taken, else 0; d_bias (may be null) +=
// Σ_t d_out[t], in an order that only the shape decides. workspace: column_sums_bytes where there is a
// d_bias, 4-byte aligned. Floor 3.
template <class T>
void lfa_taps_backward(Rows<const T> d_out, const LfaBorders& borders, Rows<T> d_products, Rows<T> d_before,
                       float* d_bias, void* workspace, std::int64_t rows, std::int64_t columns,
                       cudaStream_t stream);

// ---- positions and tokens (rotary.cu, embedding.cu)

// RoPE (Su et al. 2021), rotate-half, in place on x [rows, heads, head_dim], rows of any stride (packed query
// and key): pair (i, i + pairs) of each head turns by the angle whose (cos, sin) are table[position[row], i];
// back if `inverse`. 16-byte accesses where pairs and head_dim are multiples of 16 / sizeof(T). Floor 2 of
// the channels that turn.
template <class T>
void rotary(Rows<T> x, const std::int32_t* position, Rows<const float> table, bool inverse, std::int64_t rows,
            std::int64_t heads, std::int64_t head_dim, std::int64_t pairs, cudaStream_t stream);

// out[t] = table[tokens[t] − first]; zero where that lies outside [0, vocabulary). Floor 2.
template <class T>
void embedding(const std::int32_t* tokens, Rows<const T> table, std::int64_t first, std::int64_t vocabulary,
               Rows<T> out, std::int64_t rows, std::int64_t columns, cudaStream_t stream);
// d_table[tokens[t] − first] += d_out[t], each row of the table in the order of t. workspace:
// embedding_backward_bytes(rows), 4-byte aligned. Floor: 1 of T an element, and 8 bytes an element of the
// table's rows that are touched; sorting the tokens costs rows · min(rows, 4096) comparisons.
template <class T>
void embedding_backward(const std::int32_t* tokens, Rows<const T> d_out, std::int64_t first,
                        std::int64_t vocabulary, Rows<float> d_table, void* workspace, std::int64_t rows,
                        std::int64_t columns, cudaStream_t stream);

// ---- cross-entropy over a shard of the vocabulary (cross_entropy.cu)

// statistics float [rows, 3]: per row the maximum, Σ exp(logit − maximum), and the logit of the label
// (labels[row] − first; 0 where that lies outside [0, valid)). Columns ≥ `valid` do not count. 16-byte
// accesses where logits are 16-aligned. Floor 1.
template <class T>
void softmax_statistics(Rows<const T> logits, const std::int32_t* labels, std::int64_t first,
                        std::int64_t valid, float* statistics, std::int64_t rows, cudaStream_t stream);
// The statistics of the whole vocabulary from those of its `count` shards, float [count · rows, 3].
void combine_statistics(const float* shards, std::int64_t count, float* statistics, std::int64_t rows,
                        cudaStream_t stream);
// logits ← (softmax − onehot) · (mask / targets), zero in columns ≥ `valid` and where the label is negative
// (masked); a NaN or infinity in the logits of a row that counts stays visible. Floor 2.
template <class T>
void cross_entropy_backward(Rows<T> logits, const std::int32_t* labels, std::int64_t first,
                            std::int64_t valid, const float* statistics, const double* targets,
                            std::int64_t rows, std::int64_t columns, cudaStream_t stream);
// loss_sum += Σ over unmasked rows of ln(sum) + maximum − label's logit; in f64, in an order that `rows`
// decides alone.
void cross_entropy_loss(const std::int32_t* labels, const float* statistics, double* loss_sum,
                        std::int64_t rows, cudaStream_t stream);

// ---- the end of a step (optimizer.cu)

// Numbers of a step that stay on the device, f64 each; what they are is backend/step_scalar.h's.
struct StepScalars {
  double *loss_sum = nullptr, *norm_squared = nullptr, *targets = nullptr, *learning_rate = nullptr,
         *updates = nullptr, *clip_factor = nullptr, *apply = nullptr;
};

// sum += Σ x²; in f64, in an order that n decides alone where x is 16-aligned. workspace: squared_norm_bytes,
// 8-aligned. Floor: 4 bytes an element.
void add_squared_norm(const float* x, double* sum, void* workspace, std::int64_t n, cudaStream_t stream);

// apply = loss_sum and norm_squared are finite; updates += apply; clip_factor = min(1, clip / (norm + 1e-6)),
// 1 where clip or apply is 0.
void decide_step(double clip, const StepScalars& scalars, cudaStream_t stream);

// op_arguments.h, `StochasticRounding`: element i of the call is number n = begin + i of a box, and element
// first + (n / columns) · row + n mod columns of its parameter, or first + n where columns is 0. It is
// rounded up or down by the lower half of its word of philox(key, counter element / 4, stream `updates`).
struct StochasticRounding {
  bool on = false;
  std::uint64_t key = 0;
  std::int64_t begin = 0, first = 0, columns = 0, row = 0;
};

template <class T>
struct AdamW {
  float* master = nullptr;  // updated, as are the moments
  const float* gradient = nullptr;
  float *first_moment = nullptr, *second_moment = nullptr;
  T* weight = nullptr;  // gets the new master rounded; may be the master itself
  std::int64_t n = 0;
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0.0;
  StochasticRounding rounding = {};
};

// AdamW (Loshchilov & Hutter 2019), g = gradient · clip_factor, t = updates: m = β1 m + (1 − β1) g; v = β2 v
// + (1 − β2) g²; master −= learning_rate (m/(1 − β1^t) / (√(v/(1 − β2^t)) + ε) + decay · master). Nothing
// changes where apply is 0. 16-byte accesses where all floats are 16-aligned, bf16 weights 8-aligned, and
// `rounding` has multiples of 4 if it counts. Floor: 28 bytes an element, and those of T where the weight is
// not the master.
template <class T>
void adamw(const AdamW<T>& args, const StepScalars& scalars, cudaStream_t stream);
// ---- attention (attention_forward.cu, attention_backward.cu, attention_plain.cu)

// op_arguments.h, `AttentionArguments`. bf16 with D of 64, 96, 128 or 256 and everything 16-aligned runs on
// tensor cores; float, and bf16 in any other form, on a plain kernel for any D ≤ 256.
template <class T>
struct Attention {
  Rows<const T> q, k, v;  // [B·Sq, A, D], [B·Sk, G, D] twice; query head h reads KV head h / (A / G)
  int samples = 1, queries = 0, keys = 0;     // B, Sq, Sk
  int heads = 0, kv_heads = 0, head_dim = 0;  // A, G, D
  // [B·Sq]: a query's first key among the B·Sk rows of keys, start_offset added
  const std::int32_t* start = nullptr;
  std::int64_t start_offset = 0;
  int query_offset = 0;  // query i reaches its sample's keys up to i + query_offset
  float scale = 1.0F;    // > 0
  DropoutMask dropout;   // element ((first_head + head) · Sq + i) · 8⌈Sk/8⌉ + j for query i, key j
  int first_head = 0;
};

// out = dropout(softmax(scale · q kᵀ)) v [B·Sq, A, D]; lse = ln Σ exp(scale · q · k) [B·Sq, A].
template <class T>
void attention(const Attention<T>& a, Rows<T> out, Rows<float> lse, cudaStream_t stream);

// Backward: from what forward gave, and d_out, the gradients of q, k and v (written, not added to; they may
// be views of one fused matrix). `ordered`: the same bits each time; else what several blocks add to dq is
// added in any order, and no block waits for another (the plain kernel is always ordered). The workspace,
// attention_backward_bytes, is 16-aligned.
template <class T>
struct AttentionGradients {
  Rows<const T> out, d_out;  // [B·Sq, A, D]
  Rows<const float> lse;     // [B·Sq, A]
  Rows<T> dq, dk, dv;        // as q, k, v
};
template <class T>
void attention_backward(const Attention<T>& a, const AttentionGradients<T>& g, void* workspace, bool ordered,
                        cudaStream_t stream);

}  // namespace headwater::kernels
