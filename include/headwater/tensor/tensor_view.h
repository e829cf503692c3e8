#pragma once
// A typed, shaped view of memory that something else owns (mostly an Arena). Copying a view copies no data.
//
// The row stride is the number of elements from one index of the first dimension to the next; all later
// dimensions are dense. The first dimension of activations is T = B·S, so that q, k and v are views of one
// fused output: q is [T, A, D] with row stride (A + 2G)·D.
//
// Letters: B batch, S sequence, T tokens, H hidden, F ffn, A heads, G KV heads, D head size, C = H/2 LFA
// channels, V vocabulary, L layers.

#include "headwater/base/error.h"
#include "headwater/tensor/device.h"
#include "headwater/tensor/dtype.h"
#include "headwater/tensor/shape.h"

namespace headwater {

struct TensorView {
  void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;
  std::int64_t row_stride = 0;
  Device device;

  TensorView() = default;
  TensorView(void* memory, DType type, Shape dims, Device where = {})
      : data(memory), dtype(type), shape(dims), row_stride(dims.row_elements()), device(where) {}

  explicit operator bool() const { return data != nullptr; }
  std::int64_t rows() const { return shape.rank() == 0 ? 1 : shape[0]; }
  std::int64_t columns() const { return shape.row_elements(); }
  std::int64_t elements() const { return shape.elements(); }
  std::size_t bytes() const { return static_cast<std::size_t>(elements()) * size_of(dtype); }
  bool dense() const { return rows() <= 1 || row_stride == columns(); }

  template <class T>
  T* as() const {
    HW_CHECK(dtype == dtype_of<T>(), "tensor of {} read as {}", name_of(dtype), name_of(dtype_of<T>()));
    return static_cast<T*>(data);
  }

  TensorView rows(std::int64_t begin, std::int64_t count) const;  // rows [begin, begin + count)
  // Columns [begin, begin + count) of a [rows, n] view: same row stride, shape [rows, count].
  TensorView slice_columns(std::int64_t begin, std::int64_t count) const;
  // The same memory under another shape. If the view is not dense, the first dimension must stay as it is.
  TensorView reshaped(Shape dims) const;
};

}  // namespace headwater
