// Linear layers: y = x wᵀ and its two gradients.

#include "cuda_catalogue.h"

#include "headwater/base/error.h"

namespace headwater::cuda {

// Products read the canonical view.
void CudaBackend::refresh(Weight& weight) {
  HW_CHECK(!weight.prepared, "the CUDA backend keeps no prepared weights, but {} was set aside",
           to_string(weight.prepared.shape));
}

void CudaBackend::linear(TensorView x, const Weight& w, TensorView y) {
  products_.multiply(Matrix(x), Matrix(w.canonical).transposed(), Matrix(y), false);
}

void CudaBackend::linear_input_gradient(TensorView dy, const Weight& w, TensorView dx, bool accumulate) {
  products_.multiply(Matrix(dy), Matrix(w.canonical), Matrix(dx), accumulate);
}

void CudaBackend::linear_weight_gradient(TensorView dy, TensorView x, TensorView dw) {
  HW_CHECK(dw.dtype == DType::f32, "a weight gradient in {}", name_of(dw.dtype));
  products_.multiply(Matrix(dy).transposed(), Matrix(x), Matrix(dw), true);
}

}  // namespace headwater::cuda
