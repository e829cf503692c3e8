#pragma once
// The blocks of a layer from its kinds (LayerSpec): the one place where a kind is asked for.

#include "headwater/nn/attention.h"
#include "headwater/nn/mlp.h"
#include "headwater/nn/norm.h"

namespace headwater {

Norm make_norm(UnitDescription& description, NormKind kind, const NormOptions& options);

// The filter between `input`, what the layer's first norm gives, and queries and keys; empty: there is none.
std::unique_ptr<Filter> make_filter(UnitDescription& description, const LayerSpec& layer,
                                    const std::string& prefix, TensorId input);

std::unique_ptr<Activation> make_activation(MlpKind kind);

}  // namespace headwater
