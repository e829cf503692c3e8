#pragma once
// Attention, backward: what its kernels share. With P the probabilities, made again from the saved
// log-sum-exp, M dropout's factors, ∘ element by element and δ_i = Σ_d d_out·out:
//   dV = (P ∘ M)ᵀ dO,  dS = P ∘ (M ∘ (dO Vᵀ) − δ),  dQ = scale · dS K,  dK = scale · dSᵀ Q.
//
// attention_backward.cu fills the workspace and calls: attention_backward_keys.cu, a block per tile of keys,
// and attention_backward_queries.cu, a block per tile of queries; or attention_backward_plain.cu, which has
// both.

#include "attention.cuh"

namespace headwater::kernels {

inline constexpr int kQueryPad = 64;  // statistics are there for a multiple of so many queries of each sample

struct Statistics {
  float lse, delta;  // +∞ and 0 past the last query, so that probabilities there are 0
};

struct BackwardWorkspace {
  Statistics* statistics;    // [B, A, padded]
  int* first;                // [B, padded]: first keys, INT_MAX past the last query
  FirstKeys* first_of_tile;  // [B, padded / 64]
  float* dq;                 // [B·Sq, A, D] sums; null where ordered
  int padded;
};

template <class T>
BackwardWorkspace backward_workspace(const Attention<T>& a, void* memory, bool ordered) {
  BackwardWorkspace w{};
  w.padded = (a.queries + kQueryPad - 1) / kQueryPad * kQueryPad;
  const std::int64_t rows = static_cast<std::int64_t>(a.samples) * w.padded;
  auto* const bytes = static_cast<unsigned char*>(memory);
  w.statistics = reinterpret_cast<Statistics*>(bytes);
  w.first = reinterpret_cast<int*>(bytes + 8 * rows * a.heads);
  w.first_of_tile = reinterpret_cast<FirstKeys*>(bytes + 8 * rows * a.heads + 4 * rows);
  const std::int64_t sums = attention_backward_bytes(a.samples, a.queries, a.heads, a.head_dim, true);
  w.dq = ordered ? nullptr : reinterpret_cast<float*>(bytes + sums);
  return w;
}

// dk and dv, and without order dq's sums.
void attention_key_gradients(const Attention<bf16>& a, const AttentionGradients<bf16>& g,
                             const BackwardWorkspace& w, cudaStream_t stream);
// dq, in order.
void attention_query_gradients(const Attention<bf16>& a, const AttentionGradients<bf16>& g,
                               const BackwardWorkspace& w, cudaStream_t stream);
// All three.
template <class T>
void plain_attention_backward(const Attention<T>& a, const AttentionGradients<T>& g,
                              const BackwardWorkspace& w, cudaStream_t stream);

}  // namespace headwater::kernels
