#include "headwater/nn/flops.h"

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

// The head takes its gradients in forward too; only its first product is forward's.
PassRecord forward_alone(PassRecord forward) {
  std::erase_if(forward.ops, [](const AnyOp& op) {
    return std::holds_alternative<op::LinearInputGradient>(op) ||
           std::holds_alternative<op::LinearWeightGradient>(op);
  });
  return forward;
}

PassRecord weight_gradients_alone(PassRecord pass) {
  std::erase_if(pass.ops,
                [](const AnyOp& op) { return !std::holds_alternative<op::LinearWeightGradient>(op); });
  return pass;
}

// A linear multiplies once in forward, once for the gradient of its input and, where its weight is trained,
// once for that of the weight. Attention multiplies data by data, so that backward takes twice its forward.
double step_flops_per_token(const ModelSpec& model, int unit, std::int64_t sequence) {
  const UnitRecord record = record_whole(model, unit, sequence);
  const Flops forward = per_token(forward_alone(record.forward), sequence);
  const double weight_gradients = per_token(weight_gradients_alone(record.forward), sequence).linear +
                                  per_token(record.weight_gradient, sequence).linear;
  return 2.0 * forward.linear + weight_gradients + 3.0 * forward.attention;
}

}  // namespace

Flops forward_flops_per_token(const ModelSpec& model, int unit, std::int64_t sequence) {
  return per_token(forward_alone(record_whole(model, unit, sequence).forward), sequence);
}

double model_flops_per_token(const ModelSpec& model, std::int64_t sequence) {
  double flops = 0.0;
  for (const auto& [unit, alike] : model.distinct_units())
    flops += alike * step_flops_per_token(model, unit, sequence);
  return flops;
}

}  // namespace headwater
