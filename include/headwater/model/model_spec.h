#pragma once
// The parts of a model: one LayerSpec per layer between an embedding and a head. The model section of the
// config expands to this; nothing below reads the family.
//
// The units of a model are numbered [0 embedding, 1 … L layers, L + 1 head]; StageLayout cuts that list.

#include "headwater/config/block_kinds.h"
#include "headwater/config/run_config.h"
#include "headwater/model/sharding.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace headwater {

enum class FilterKind : std::uint8_t { none, lfa };  // what Q and K see of the normed input

struct LayerSpec {
  NormKind norm = NormKind::rms;
  FilterKind filter = FilterKind::none;
  MlpKind mlp = MlpKind::swiglu;
  std::int64_t hidden = 0;    // H
  std::int64_t heads = 0;     // A
  std::int64_t kv_heads = 0;  // G
  std::int64_t head_dim = 0;  // D
  std::int64_t ffn = 0;       // F
  double norm_epsilon = 1e-6;
  double rotary_base = 10000.0;
  double attention_dropout = 0.0;
  double hidden_dropout = 0.0;
  // Its parameters that are not trained, by their names within the layer ("mlp.up.weight"), in order.
  std::vector<std::string> frozen;

  std::int64_t query_width() const { return heads * head_dim; }  // P
  std::int64_t key_width() const { return kv_heads * head_dim; }
  bool operator==(const LayerSpec&) const = default;
};

struct ModelSpec {
  std::int64_t vocabulary = 0;  // V, unpadded
  // in memory V is padded to a multiple of this times the tensor ranks
  std::int64_t vocabulary_multiple = 128;
  std::int64_t hidden = 0;  // H
  std::int64_t max_positions = 0;
  bool tied = true;  // the head's weight is the embedding's
  NormKind final_norm = NormKind::rms;
  double norm_epsilon = 1e-6;
  double init_std = 0.02;
  std::vector<LayerSpec> layers;
  std::vector<std::string> frozen;  // parameters of embedding and head that are not trained

  int units() const { return static_cast<int>(layers.size()) + 2; }
  int embedding_unit() const { return 0; }
  int head_unit() const { return units() - 1; }
  bool is_layer(int unit) const { return unit != embedding_unit() && unit != head_unit(); }
  // Returns the first unit that is the same as `unit`: of layers whose LayerSpec is equal, the first.
  int first_alike(int unit) const;
  // The units that first_alike() gives, each with the number of units that are like it: what depends on a
  // unit's kind alone is computed once for each of these.
  std::map<int, int> distinct_units() const;
  std::int64_t padded_vocabulary(const Sharding& sharding) const;  // over all shards together
  bool operator==(const ModelSpec&) const = default;
};

// Returns the prefix of the names of a layer's parameters: "layers.3.".
std::string layer_prefix(int layer);

// `model` is resolved and validated (config/load_config.h).
ModelSpec expand(const ModelConfig& model);

}  // namespace headwater
