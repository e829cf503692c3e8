#pragma once
// How tensor ranks share the layers of a model.

#include "headwater/run/layout_request.h"

#include <string>

namespace headwater {

// Whether `tensor` ranks can share every unit of the model.
bool can_share(const ModelSpec& model, std::int64_t tensor);

// Whether any layer of the model has localized filtering: parameters that the two forms of LfaSharding cut in
// two ways.
bool has_lfa(const ModelSpec& model);

// parallel.lfa_sharding with "auto" decided: the form in which tensor ranks send fewer bytes in a step. It
// refuses what sharding_of refuses where there is a choice.
std::string resolved_lfa_sharding(const RankLayoutRequest& request);

// How the ranks that share a layer cut this model. UserError where they cannot share every layer equally.
// `parallel.lfa_sharding` must be resolved.
Sharding sharding_of(const ModelSpec& model, const ParallelConfig& parallel, BatchShape batch);

}  // namespace headwater
