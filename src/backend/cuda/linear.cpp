// Linear layers: y = x wᵀ and its two gradients.

#include "cuda_catalogue.h"

namespace headwater::cuda {

void CudaBackend::enqueue(const op::Linear& o) {
  products_.multiply(Matrix(o.x), Matrix(o.w).transposed(), Matrix(o.y), false);
}

void CudaBackend::enqueue(const op::LinearInputGradient& o) {
  products_.multiply(Matrix(o.dy), Matrix(o.w), Matrix(o.dx), o.accumulate);
}

void CudaBackend::enqueue(const op::LinearWeightGradient& o) {
  products_.multiply(Matrix(o.dy).transposed(), Matrix(o.x), Matrix(o.dw), true);
}

}  // namespace headwater::cuda
