#include "headwater/nn/flops.h"

#include <map>

namespace headwater {
namespace {

UnitRecord record_whole(ModelSpec model, int unit, std::int64_t sequence) {
  model.vocabulary_multiple = 1;  // padding is no work of the model's
  return record_unit({.model = model, .unit = unit, .batch = {1, sequence}});
}

Flops per_token(const PassRecord& pass, std::int64_t sequence) {
  const Flops flops = flops_of(pass);
  const auto tokens = static_cast<double>(sequence);
  return {flops.linear / tokens, flops.attention / tokens};
}

}  // namespace

// The head takes its gradients in forward too; only its first product is forward's.
Flops forward_flops_per_token(const ModelSpec& model, int unit, std::int64_t sequence) {
  PassRecord forward = record_whole(model, unit, sequence).forward;
  std::erase_if(forward.ops, [](const AnyOp& op) {
    return std::holds_alternative<op::LinearInputGradient>(op) ||
           std::holds_alternative<op::LinearWeightGradient>(op);
  });
  return per_token(forward, sequence);
}

Flops recompute_flops_per_token(const ModelSpec& model, int unit, std::int64_t sequence,
                                Recompute recompute) {
  if (recompute == Recompute::none) return {};
  return per_token(record_whole(model, unit, sequence).recompute(recompute), sequence);
}

double model_flops_per_token(const ModelSpec& model, std::int64_t sequence) {
  double forward = 0.0;
  std::map<int, double> of_unit;  // by first_alike()
  for (int unit = 0; unit < model.units(); ++unit) {
    const auto [found, is_new] = of_unit.try_emplace(model.first_alike(unit));
    if (is_new) found->second = forward_flops_per_token(model, unit, sequence).total();
    forward += found->second;
  }
  return 3.0 * forward;
}

}  // namespace headwater
