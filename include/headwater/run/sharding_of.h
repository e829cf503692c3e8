#pragma once
// How tensor ranks share the layers of a model.

#include "headwater/run/layout_request.h"

#include <string>

namespace headwater {

// Whether any layer of the model has localized filtering.
bool has_lfa(const ModelSpec& model);

// parallel.lfa_sharding with "auto" decided: the form in which tensor ranks send fewer bytes in a step.
std::string resolved_lfa_sharding(const RankLayoutRequest& request);

// How the ranks that share a layer cut this model. UserError where they cannot share every layer equally.
// `parallel.lfa_sharding` must be resolved.
Sharding sharding_of(const ModelSpec& model, const ParallelConfig& parallel, BatchShape batch);

}  // namespace headwater
