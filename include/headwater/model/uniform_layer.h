#pragma once
// For what describes a model by the sizes of one layer, such as the formulas of a paper.

#include "headwater/model/model_spec.h"

#include <string_view>

namespace headwater {

// The layer that every layer of the model is. InternalError where they differ; it says that `who`
// takes them to be alike.
const LayerSpec& uniform_layer(const ModelSpec& model, std::string_view who);

}  // namespace headwater
