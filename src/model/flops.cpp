#include "headwater/model/flops.h"

namespace headwater {
namespace {

double product(std::int64_t n, std::int64_t k) {
  return 2.0 * static_cast<double>(n) * static_cast<double>(k);
}

}  // namespace

UnitFlops forward_flops_per_token(const LayerSpec& layer, std::int64_t sequence) {
  UnitFlops flops;
  flops.linear = product(layer.query_width() + 2 * layer.key_width(), layer.hidden) +
                 product(layer.hidden, layer.query_width()) + 3.0 * product(layer.ffn, layer.hidden);
  if (layer.filter == FilterKind::lfa) flops.linear += 4.0 * product(layer.filter_channels(), layer.hidden);
  // Query i of a sample meets i + 1 keys: (S + 1) / 2 on average, in two products of P wide rows.
  flops.attention = 2.0 * product(layer.query_width(), 1) * (static_cast<double>(sequence) + 1.0) / 2.0;
  return flops;
}

UnitFlops recompute_flops_per_token(const LayerSpec& layer, std::int64_t sequence, Recompute recompute) {
  if (recompute == Recompute::none) return {};
  const UnitFlops forward = forward_flops_per_token(layer, sequence);
  if (recompute == Recompute::selective) return {0.0, forward.attention};
  return {forward.linear - product(layer.hidden, layer.ffn), forward.attention};
}

UnitFlops head_flops_per_token(const ModelSpec& model) {
  return {2.0 * static_cast<double>(model.vocabulary) * static_cast<double>(model.hidden), 0.0};
}

double model_flops_per_token(const ModelSpec& model, std::int64_t sequence) {
  double forward = head_flops_per_token(model).total();
  for (const LayerSpec& layer : model.layers) forward += forward_flops_per_token(layer, sequence).total();
  return 3.0 * forward;
}

}  // namespace headwater
