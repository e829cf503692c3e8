#pragma once
// Small models whose sizes all differ, so that a mix-up of two of them shows.

#include "headwater/config/run_config.h"

namespace headwater::test {

struct ModelOptions {
  bool lfa = true, tied = true, grouped = false;  // grouped: query heads share KV heads
  double dropout = 0.0;                           // attention's; the residual branches' is twice that
  std::int64_t layers = 2;
  const char* norm = "rmsnorm";
  const char* mlp = "swiglu";
};

// Resolved. H 12, A 6, D 4 (so that heads are wider than the residual stream), F 20, V 19 padded to 24.
inline ModelConfig small_model(const ModelOptions& options, std::int64_t positions) {
  ModelConfig model;
  model.family = "yuan2";
  model.num_layers = options.layers;
  model.hidden_size = 12;
  model.num_attention_heads = 6;
  model.num_query_groups = options.grouped ? 2 : 6;
  model.kv_channels = 4;
  model.ffn_hidden_size = 20;
  model.vocab_size = 19;
  model.make_vocab_size_divisible_by = 8;
  model.max_position_embeddings = positions;
  model.rotary_base = 100.0;
  model.norm = options.norm;
  model.lfa = options.lfa;
  model.mlp = options.mlp;
  model.untie_embeddings_and_output_weights = !options.tied;
  model.attention_dropout = options.dropout;
  model.hidden_dropout = 2.0 * options.dropout;
  return model;
}

}  // namespace headwater::test
