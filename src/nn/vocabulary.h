#pragma once
// The matrix of a row per word: the embedding's, and the head's. In memory the vocabulary is padded to equal
// shards for the ranks that share it.

#include "headwater/nn/unit_description.h"

namespace headwater {

inline ParameterId vocabulary_matrix(UnitDescription& description, const ModelSpec& model, std::string name) {
  const ParameterCut cut{.split = {.dimension = 0, .unit = 1, .pad_multiple = model.vocabulary_multiple}};
  return description.parameter(std::move(name), {model.vocabulary, model.hidden},
                               {Init::Kind::normal, model.init_std}, cut);
}

}  // namespace headwater
