#pragma once
// The cost of attention, from Q, K, V to its output, for a rank and a micro-batch, computed in either of two
// ways.
//
// Fused attention (FlashAttention; Headwater) computes the causal half of the scores tile by tile and writes
// none of them to memory. Its backward takes five products where its forward takes two, because it computes
// the scores again.
//
// Attention with whole scores (Megatron-LM until 2022) computes the score of every query and key and writes
// it to memory, where softmax, dropout and the next product read it. Its backward takes four products.

#include "headwater/backend/any_op.h"

namespace headwater {

struct AttentionCost {
  double flops = 0.0, bytes = 0.0;
};

// Both return nothing for an op that is not attention.
AttentionCost fused_attention_cost(const AnyOp& op);
AttentionCost whole_scores_cost(const AnyOp& op);

}  // namespace headwater
