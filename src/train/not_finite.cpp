#include "not_finite.h"

#include "headwater/base/bytes.h"

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

// Returns the first, or the last, of this rank's parameters that have a value in `flat` (weights or
// gradients) which is not finite; empty where all are finite.
std::string find(Engine& engine, const char* what, TensorView flat, bool from_the_end) {
  ParameterStore& store = engine.store();
  const RankLayout& layout = engine.layout();
  std::string found;
  std::vector<float> host;
  for (const ParameterPlace& place : store.layout().places()) {
    if (!flat || place.offset >= flat.elements()) continue;  // it is not trained, and has no gradient
    host.resize(static_cast<std::size_t>(place.slice().count));
    download(engine.backend(), store.part(flat, place),
             TensorView(host.data(), DType::f32, {place.slice().count}));
    if (finite(host)) continue;
    found = fmt::format("{} of {} ({}, {})", what, place.spec.name,
                        where(layout.request.model, place.spec.unit), layout.grid.describe(layout.rank));
    if (!from_the_end) break;
  }
  return found;
}

// Returns what the first rank that found one has found, or the last: later ranks hold later layers.
std::string over_ranks(Communicator& ranks, const std::string& found, bool from_the_end) {
  std::string result;
  for (const std::vector<std::byte>& bytes : gather_bytes(ranks, std::as_bytes(std::span(found))))
    if (!bytes.empty() && (from_the_end || result.empty())) result = as_text(bytes);
  return result;
}

}  // namespace

std::string locate_not_finite(Engine& engine) {
  ParameterStore& store = engine.store();
  Communicator& ranks = engine.world_group();
  store.wait_for_weights(engine.backend());
  std::string found = over_ranks(ranks, find(engine, "weight", store.weights(), false), false);
  if (found.empty()) found = over_ranks(ranks, find(engine, "gradient", store.gradients(), true), true);
  return found.empty() ? "the loss alone; every gradient is finite" : found;
}

}  // namespace headwater
