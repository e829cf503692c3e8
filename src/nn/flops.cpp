#include "headwater/nn/flops.h"

namespace headwater {

Flops forward_flops_per_token(const ModelSpec& model, int unit, std::int64_t sequence) {
  ModelSpec unpadded = model;
  unpadded.vocabulary_multiple = 1;  // padding is no work of the model's
  PassRecord forward = record_unit({.model = unpadded, .unit = unit, .batch = {1, sequence}}).forward;
  // The head takes its gradients in forward too; only its first product is forward's.
  std::erase_if(forward.ops, [](const AnyOp& op) {
    return std::holds_alternative<op::LinearInputGradient>(op) ||
           std::holds_alternative<op::LinearWeightGradient>(op);
  });
  const Flops flops = flops_of(forward);
  const auto tokens = static_cast<double>(sequence);
  return {flops.linear / tokens, flops.attention / tokens};
}

double model_flops_per_token(const ModelSpec& model, std::int64_t sequence) {
  double forward = 0.0;
  for (const auto& [unit, alike] : model.distinct_units())
    forward += alike * forward_flops_per_token(model, unit, sequence).total();
  return 3.0 * forward;
}

}  // namespace headwater
