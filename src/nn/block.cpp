#include "headwater/nn/block.h"

namespace headwater {

void DeferredProducts::drain(Backend& backend) {
  for (const Product& product : products_) backend.linear_weight_gradient(product.dy, product.x, product.dw);
  products_.clear();
}

void linear_backward(const BlockContext& context, const Linear& linear, TensorView dy, TensorView x,
                     TensorView dx, bool accumulate) {
  context.deferred->add(dy, x, linear.gradient);
  context.backend.linear_input_gradient(dy, *linear.weight, dx, accumulate);
}

}  // namespace headwater
