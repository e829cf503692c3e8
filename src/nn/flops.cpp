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

namespace {

// FLOPs per token of the gradients of those of a unit's weights that are trained.
double weight_gradient_flops_per_token(const ModelSpec& model, int unit, std::int64_t sequence) {
  const UnitRecord record = record_whole(model, unit, sequence);
  PassRecord products;
  for (const PassRecord* pass : {&record.forward, &record.weight_gradient})
    for (const AnyOp& op : pass->ops)
      if (std::holds_alternative<op::LinearWeightGradient>(op)) products.ops.push_back(op);
  return per_token(products, sequence).linear;
}

}  // namespace

Flops recompute_flops_per_token(const ModelSpec& model, int unit, std::int64_t sequence,
                                Recompute recompute) {
  if (recompute == Recompute::none) return {};
  return per_token(record_whole(model, unit, sequence).recompute(recompute), sequence);
}

double model_flops_per_token(const ModelSpec& model, std::int64_t sequence) {
  double forward = 0.0, without = 0.0;
  Flops unit_forward;
  double unit_without = 0.0;  // what the gradients of weights that are not trained would take
  for (int unit = 0; unit < model.units(); ++unit) {
    const auto number = static_cast<std::size_t>(unit) - 1;
    const bool as_before =
        unit > 1 && unit < model.head_unit() && model.layers[number] == model.layers[number - 1];
    if (!as_before) {
      unit_forward = forward_flops_per_token(model, unit, sequence);
      unit_without = unit_forward.linear - weight_gradient_flops_per_token(model, unit, sequence);
    }
    forward += unit_forward.total();
    without += unit_without;
  }
  return 3.0 * forward - without;
}

}  // namespace headwater
