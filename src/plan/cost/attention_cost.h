#pragma once
// What attention between Q, K, V and its output costs a rank for one micro-batch, in the two ways there are.
//
// Fused (FlashAttention; Headwater): the causal half of the scores, tile by tile, none of which goes to
// memory; backward takes five products where forward takes two, as the scores are computed again.
//
// Whole scores (Megatron-LM until 2022): every score of every query and key is computed and goes to memory,
// from where softmax, dropout and the next product read it; backward takes four products.

#include "headwater/plan/cost/cost_model.h"

namespace headwater {

struct AttentionCost {
  double flops = 0.0, bytes = 0.0;
};

AttentionCost fused_attention_cost(const LayerSpec& layer, const RankWork& work, Pass pass);
AttentionCost whole_scores_cost(const LayerSpec& layer, const RankWork& work, Pass pass);

}  // namespace headwater
