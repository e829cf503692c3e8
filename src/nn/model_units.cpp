#include "headwater/nn/model_units.h"

#include "headwater/base/error.h"
#include "headwater/nn/embedding.h"
#include "headwater/nn/head.h"
#include "headwater/nn/layer.h"

#include <utility>

namespace headwater {

UnitDescription describe(const UnitSite& site) {
  if (site.unit == site.model.embedding_unit()) return Embedding(site).description();
  if (site.unit == site.model.head_unit()) return Head(site).description();
  return Layer(site).description();
}

std::vector<ParameterSpec> parameters(const ModelSpec& model, const Sharding& sharding) {
  return parameters_of(model, 0, model.units(), sharding);
}

std::vector<ParameterSpec> parameters_of(const ModelSpec& model, int first_unit, int last_unit,
                                         const Sharding& sharding) {
  std::vector<ParameterSpec> held;
  const auto add_unit = [&](int unit, bool tied_only) {
    for (const ParameterSpec& spec :
         describe({.model = model, .unit = unit, .sharding = sharding}).parameters())
      if (!tied_only || spec.tied_to_head) held.push_back(spec);
  };
  const bool has_head = first_unit <= model.head_unit() && model.head_unit() < last_unit;
  if (first_unit > model.embedding_unit() && has_head) add_unit(model.embedding_unit(), true);
  for (int unit = first_unit; unit < last_unit; ++unit) add_unit(unit, false);
  return held;
}

std::int64_t parameter_count(const ModelSpec& model) {
  std::int64_t count = 0;
  for (const ParameterSpec& spec : parameters(model)) count += spec.elements();
  return count;
}

std::int64_t kv_repeat(const ModelSpec& model, const Sharding& sharding) {
  std::int64_t repeat = 1;
  if (sharding.tensor == 1) return repeat;
  for (int unit = 0; unit < model.units(); ++unit)
    for (const SharedOut& shared : describe({.model = model, .unit = unit}).shared_out()) {
      if (!shared.repeats || shared.parts >= sharding.tensor) continue;
      const std::int64_t own = sharding.tensor / shared.parts;
      HW_CHECK(repeat == 1 || own == repeat,
               "{} {} of unit {} is repeated on {} of {} tensor ranks, but another layer's on {}: the ranks "
               "form one grid, so that layers with fewer KV heads than ranks must have equally many",
               shared.what, shared.parts, unit, own, sharding.tensor, repeat);
      repeat = own;
    }
  return repeat;
}

}  // namespace headwater
