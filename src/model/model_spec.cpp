#include "headwater/model/model_spec.h"

#include "headwater/base/error.h"

#include <algorithm>

namespace headwater {

std::int64_t ModelSpec::padded_vocabulary(const Sharding& sharding) const {
  const std::int64_t multiple = vocabulary_multiple * sharding.tensor;
  return (vocabulary + multiple - 1) / multiple * multiple;
}

std::string layer_prefix(int layer) { return "layers." + std::to_string(layer) + "."; }

int ModelSpec::first_alike(int unit) const {
  if (!is_layer(unit)) return unit;
  return static_cast<int>(std::ranges::find(layers, layers.at(static_cast<std::size_t>(unit) - 1)) -
                          layers.begin()) +
         1;
}

std::map<int, int> ModelSpec::distinct_units() const {
  std::map<int, int> distinct;
  for (int unit = 0; unit < units(); ++unit) ++distinct[first_alike(unit)];
  return distinct;
}

ModelSpec expand(const ModelConfig& model) {
  HW_CHECK(model.family == "yuan2", "family {} has no expansion", model.family);
  LayerSpec layer;
  layer.norm = kind_of(kNormWords, model.norm);
  layer.filter = model.lfa ? FilterKind::lfa : FilterKind::none;
  layer.mlp = kind_of(kMlpWords, model.mlp);
  layer.hidden = model.hidden_size;
  layer.heads = model.num_attention_heads;
  layer.kv_heads = model.num_query_groups;
  layer.head_dim = model.kv_channels;
  layer.ffn = model.ffn_hidden_size;
  layer.norm_epsilon = model.norm_epsilon;
  layer.rotary_base = model.rotary_base;
  layer.attention_dropout = model.attention_dropout;
  layer.hidden_dropout = model.hidden_dropout;

  ModelSpec spec;
  spec.vocabulary = model.vocab_size;
  spec.vocabulary_multiple = model.make_vocab_size_divisible_by;
  spec.hidden = model.hidden_size;
  spec.max_positions = model.max_position_embeddings;
  spec.tied = !model.untie_embeddings_and_output_weights;
  spec.final_norm = kind_of(kNormWords, model.norm);
  spec.norm_epsilon = model.norm_epsilon;
  spec.init_std = model.init_method_std;
  spec.layers.assign(static_cast<std::size_t>(model.num_layers), layer);
  return spec;
}

}  // namespace headwater
