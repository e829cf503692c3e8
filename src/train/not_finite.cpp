#include "headwater/train/not_finite.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace headwater {
namespace {

bool finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

std::string where(const ModelSpec& model, int unit) {
  if (unit == model.embedding_unit()) return "embedding";
  if (unit == model.head_unit()) return "head";
  return fmt::format("layer {}", unit - 1);
}

}  // namespace

std::string locate_not_finite(Engine& engine) {
  ParameterStore& store = engine.store();
  const RankLayout& layout = engine.layout();
  std::string found;
  std::vector<float> host;
  for (const ParameterPlace& place : store.layout().places()) {
    host.resize(static_cast<std::size_t>(place.spec.elements()));
    const TensorView view(host.data(), DType::f32, {place.spec.elements()});
    for (const auto& [what, flat] : {std::pair{"weight", store.masters()}, std::pair{"gradient", store.gradients()}}) {
      store.to_host(engine.backend(), flat, place, view);
      if (found.empty() && !finite(host))
        found = fmt::format("{} of {} ({}, {})", what, place.spec.name, where(layout.request.model, place.spec.unit),
                            layout.grid.describe(layout.rank));
    }
    if (!found.empty()) break;
  }
  const std::vector<std::vector<std::byte>> all =
      gather_bytes(engine.world_group(), std::as_bytes(std::span(found.data(), found.size())));
  for (const std::vector<std::byte>& bytes : all)
    if (!bytes.empty()) return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return "the loss alone; every gradient is finite";
}

}  // namespace headwater
