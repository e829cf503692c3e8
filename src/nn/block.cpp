#include "headwater/nn/block.h"

namespace headwater {

void DeferredProducts::drain(Backend& backend) {
  for (const op::LinearWeightGradient& product : products_) backend.run(product);
  products_.clear();
}

void linear_forward(const BlockContext& context, const Linear& linear, TensorView x, TensorView y) {
  context.backend.run(op::Linear{.x = x, .w = linear.weight, .y = y});
}

void linear_backward(const BlockContext& context, const Linear& linear, TensorView dy, TensorView x,
                     TensorView dx, bool accumulate) {
  if (linear.gradient) context.deferred->add({.dy = dy, .x = x, .dw = linear.gradient});
  context.backend.run(
      op::LinearInputGradient{.dy = dy, .w = linear.weight, .dx = dx, .accumulate = accumulate});
}

Gathered::Gathered(UnitDescription& d, const std::string& name, std::int64_t columns, bool trained) {
  if (!d.tokens_are_cut()) return;
  const Shape whole{d.tokens(), columns};
  all = d.forward_tensor(name + ".all", whole, d.compute(), Kept::scratch);
  if (trained) again = d.backward_tensor(name + ".again", whole, d.compute(), Kept::until_weight_gradient);
}

}  // namespace headwater
