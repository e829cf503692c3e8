#pragma once
// Attention, backward: what its kernels share. With P the probabilities, made again from the saved
// log-sum-exp, M dropout's factors, ∘ element by element and δ_i = Σ_d d_out·out:
//   dV = (P ∘ M)ᵀ dO,  dS = P ∘ (M ∘ (dO Vᵀ) − δ),  dQ = scale · dS K,  dK = scale · dSᵀ Q.
//
// attention_backward.cu fills the workspace and calls attention_backward_tiles.cu, which sums dQ in the
// workspace, or attention_backward_plain.cu.

#include "attention.cuh"

namespace headwater::kernels {

inline constexpr int kQueryPad = 64;  // statistics are there for a multiple of so many queries of each sample
// dQ is summed by tiles of kAddedQueries queries or more, whose elements kAddingWarps warps of a block share
// out.
inline constexpr int kAddedQueries = 32, kAddingWarps = 4;

struct Statistics {
  float lse, delta;  // +∞ and 0 past the last query, so that probabilities there are 0
};

struct BackwardWorkspace {
  Statistics* statistics;    // [B, A, padded]
  int* first;                // [B, padded]: first keys, INT_MAX past the last query
  FirstKeys* first_of_tile;  // [B, padded / 64]
  int padded;
  // On tensor cores:
  float* dq;   // [B·Sq, A, D]: sums, 0 at first
  int* added;  // [B, A, padded / 32, 4]: how many blocks have added to a warp's part of a tile of sums, 0 at
               // first
  int* begun;  // how many blocks have begun, 0 at first; null where dq is summed in any order
};

// `tiled`: on tensor cores.
template <class T>
BackwardWorkspace backward_workspace(const Attention<T>& a, void* memory, bool tiled, bool ordered) {
  BackwardWorkspace w{};
  w.padded = (a.queries + kQueryPad - 1) / kQueryPad * kQueryPad;
  const AttentionBackwardBytes at(a.samples, a.queries, a.heads, a.head_dim, tiled);
  auto* const bytes = static_cast<unsigned char*>(memory);
  w.statistics = reinterpret_cast<Statistics*>(bytes + at.statistics);
  w.first = reinterpret_cast<int*>(bytes + at.first);
  w.first_of_tile = reinterpret_cast<FirstKeys*>(bytes + at.first_of_tile);
  if (!tiled) return w;
  w.dq = reinterpret_cast<float*>(bytes + at.dq);
  if (ordered) w.begun = reinterpret_cast<int*>(bytes + at.begun);
  w.added = reinterpret_cast<int*>(bytes + at.added);
  return w;
}

// dk and dv, and dq's sums.
void tiled_attention_backward(const Attention<bf16>& a, const AttentionGradients<bf16>& g,
                              const BackwardWorkspace& w, cudaStream_t stream);
// dk, dv and dq.
template <class T>
void plain_attention_backward(const Attention<T>& a, const AttentionGradients<T>& g,
                              const BackwardWorkspace& w, cudaStream_t stream);

}  // namespace headwater::kernels
