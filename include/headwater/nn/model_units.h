#pragma once
// The units of a model, and what all of them say together.

#include "headwater/nn/unit_description.h"

#include <vector>

namespace headwater {

// Returns what unit `site.unit` of the model says of itself.
UnitDescription describe(const UnitSite& site);

// All parameters, by unit; joined ones are adjacent.
std::vector<ParameterSpec> parameters(const ModelSpec& model, const Sharding& sharding = {});
// The parameters that a rank holds which has the units [first, last): their own, and the tied embedding where
// the head is among them.
std::vector<ParameterSpec> parameters_of(const ModelSpec& model, int first_unit, int last_unit,
                                         const Sharding& sharding = {});

std::int64_t parameter_count(const ModelSpec& model);

// How many tensor ranks hold the same KV heads: 1 where there are enough for all. They stand along an axis of
// their own, so it is one number for all layers that have too few heads; InternalError where those differ.
std::int64_t kv_repeat(const ModelSpec& model, const Sharding& sharding);

}  // namespace headwater
