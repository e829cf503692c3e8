#pragma once
// Every launcher of kernels/: what it computes, shapes, alignment. A launcher takes device pointers, sizes and a stream,
// queues its kernels there and returns; errors show in cudaGetLastError(), which the backend asks. T is float or bf16, and
// sums are fp32, where nothing else is said. "16-aligned": addresses (and row strides, in bytes) are multiples of 16.

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace headwater::kernels {

using bf16 = __nv_bfloat16;

// ---- memory (convert.cu, transpose.cu) -----------------------------------------------------------------------------------

// x[i] = value, i < n; any alignment of T.
template <class T>
void fill(T* x, float value, std::int64_t n, cudaStream_t stream);

// to[i] = from[i], rounded to nearest even; any alignment of the types. float ↔ bf16.
template <class From, class To>
void cast(const From* from, To* to, std::int64_t n, cudaStream_t stream);

// to[j, i] = from[i, j]; from [rows, columns], to [columns, rows], dense; any alignment of T.
template <class T>
void transpose(const T* from, T* to, std::int64_t rows, std::int64_t columns, cudaStream_t stream);

// ---- matrices and dropout, as arguments of what follows ------------------------------------------------------------------

// A matrix in device memory whose rows begin `stride` elements apart.
template <class T>
struct Rows {
  T* data = nullptr;
  std::int64_t stride = 0;
};

// backend.h, `Dropout`: element e of sample b is kept, and multiplied by `scale`, where word (e mod 4) of
// philox(key b, counter e / 4, stream `site`) ≥ `threshold`; else it becomes 0.
struct DropoutMask {
  const std::int32_t* keys = nullptr;  // [B, 2], low word first, on the device; null where dropout is off
  std::uint64_t site = 0;
  std::uint32_t threshold = 0;         // ⌈p · 2^32⌉
  float scale = 1.0F;                  // 1 / (1 − p); 1 where dropout is off
};

// ---- attention (attention_forward.cu, attention_backward.cu, attention_plain.cu) -----------------------------------------

// backend.h, `AttentionArgs`. bf16 with D of 64, 96, 128 or 256 and everything 16-aligned runs on tensor cores; float, and
// bf16 in any other form, on a plain kernel for any D ≤ 256.
template <class T>
struct Attention {
  Rows<const T> q, k, v;  // [B·Sq, A, D], [B·Sk, G, D] twice; query head h reads KV head h / (A / G)
  int samples = 1, queries = 0, keys = 0;       // B, Sq, Sk
  int heads = 0, kv_heads = 0, head_dim = 0;    // A, G, D
  const std::int32_t* start = nullptr;  // [B·Sq]: a query's first key among the B·Sk rows of keys, start_offset added
  std::int64_t start_offset = 0;
  int query_offset = 0;  // query i reaches its sample's keys up to i + query_offset
  float scale = 1.0F;    // > 0
  DropoutMask dropout;   // element ((first_head + head) · Sq + i) · 4⌈Sk/4⌉ + j for query i, key j
  int first_head = 0;
};

// out = dropout(softmax(scale · q kᵀ)) v [B·Sq, A, D]; lse = ln Σ exp(scale · q · k) [B·Sq, A].
template <class T>
void attention(const Attention<T>& a, Rows<T> out, Rows<float> lse, cudaStream_t stream);

// Backward: from what forward gave, and d_out, the gradients of q, k and v (written, not added to; they may be views of one
// fused matrix). `ordered`: the same bits each time; else dq is summed by atomic additions, which saves two of seven
// products on tensor cores (the plain kernel is always ordered). The workspace is 16-aligned.
template <class T>
struct AttentionGradients {
  Rows<const T> out, d_out;  // [B·Sq, A, D]
  Rows<const float> lse;     // [B·Sq, A]
  Rows<T> dq, dk, dv;        // as q, k, v
};
template <class T>
void attention_backward(const Attention<T>& a, const AttentionGradients<T>& g, void* workspace, bool ordered,
                        cudaStream_t stream);

// Bytes, with P = ⌈Sq / 64⌉ · 64: (lse, δ) of each query and head 8·B·A·P, first keys 4·B·P, their range in each tile of 64
// queries 8·B·P/64; and where dq is not ordered, its sums in fp32, 4·B·Sq·A·D.
inline std::int64_t attention_backward_bytes(std::int64_t samples, std::int64_t queries, std::int64_t heads,
                                             std::int64_t head_dim, bool ordered) {
  const std::int64_t padded = samples * ((queries + 63) / 64 * 64);
  const std::int64_t bytes = 8 * padded * heads + 4 * padded + (padded / 64 * 8 + 15) / 16 * 16;
  return bytes + (ordered ? 0 : 4 * samples * queries * heads * head_dim);
}

}  // namespace headwater::kernels
