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
  context.deferred->add({.dy = dy, .x = x, .dw = linear.gradient});
  context.backend.run(
      op::LinearInputGradient{.dy = dy, .w = linear.weight, .dx = dx, .accumulate = accumulate});
}

}  // namespace headwater
