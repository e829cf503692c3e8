#include "headwater/run/freeze.h"

#include "headwater/base/error.h"
#include "headwater/base/glob.h"
#include "headwater/nn/model_units.h"

#include <algorithm>

namespace headwater {
namespace {

void check_matches(const std::string& pattern, const std::vector<ParameterSpec>& all) {
  const auto distance = [&](const ParameterSpec& spec) { return glob_distance(pattern, spec.name); };
  const ParameterSpec& nearest = *std::ranges::min_element(all, {}, distance);
  if (!glob_matches(pattern, nearest.name))
    throw UserError("training.freeze has \"{}\", which is the name of no parameter; the nearest is {}",
                    pattern, nearest.name);
}

void add_frozen(ModelSpec& model, const ParameterSpec& spec) {
  if (!model.is_layer(spec.unit)) {
    model.frozen.push_back(spec.name);
    return;
  }
  const int layer = spec.unit - 1;
  model.layers[static_cast<std::size_t>(layer)].frozen.push_back(
      spec.name.substr(layer_prefix(layer).size()));
}

}  // namespace

void freeze(ModelSpec& model, const std::vector<std::string>& patterns) {
  if (patterns.empty()) return;
  const std::vector<ParameterSpec> all = parameters(model);
  for (const std::string& pattern : patterns) check_matches(pattern, all);

  std::vector<bool> frozen;
  for (const ParameterSpec& spec : all)
    frozen.push_back(std::ranges::any_of(
        patterns, [&](const std::string& pattern) { return glob_matches(pattern, spec.name); }));
  if (std::ranges::find(frozen, false) == frozen.end())
    throw UserError("training.freeze leaves nothing to train: its patterns match all {} parameters",
                    all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].joined && frozen[i] != frozen[i - 1])
      throw UserError(
          "training.freeze has {}, but not {}; they are parts of one matrix: freeze both, or neither",
          all[frozen[i] ? i : i - 1].name, all[frozen[i] ? i - 1 : i].name);
    if (frozen[i]) add_frozen(model, all[i]);
  }
}

ModelSpec model_to_train(const ModelConfig& model, const std::vector<std::string>& patterns) {
  ModelSpec spec = expand(model);
  freeze(spec, patterns);
  return spec;
}

}  // namespace headwater
