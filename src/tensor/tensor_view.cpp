#include "headwater/tensor/tensor_view.h"

namespace headwater {
namespace {

void* advanced(const TensorView& view, std::int64_t elements) {
  return static_cast<std::byte*>(view.data) + elements * static_cast<std::int64_t>(size_of(view.dtype));
}

}  // namespace

TensorView TensorView::rows(std::int64_t begin, std::int64_t count) const {
  HW_CHECK(shape.rank() > 0 && begin >= 0 && count >= 0 && count <= shape[0] - begin,
           "rows [{}, {} + {}) of {}", begin, begin, count, to_string(shape));
  TensorView view = *this;
  view.data = advanced(*this, begin * row_stride);
  view.shape = shape.with_first(count);
  return view;
}

TensorView TensorView::slice_columns(std::int64_t begin, std::int64_t count) const {
  HW_CHECK(shape.rank() == 2 && begin >= 0 && count >= 0 && count <= shape[1] - begin,
           "columns [{}, {} + {}) of {}", begin, begin, count, to_string(shape));
  TensorView view = *this;
  view.data = advanced(*this, begin);
  view.shape = {shape[0], count};
  return view;
}

TensorView TensorView::reshaped(Shape dims) const {
  HW_CHECK(dims.elements() == elements(), "{} reshaped to {}", to_string(shape), to_string(dims));
  TensorView view = *this;
  view.shape = dims;
  if (dense()) {
    view.row_stride = dims.row_elements();
  } else {
    HW_CHECK(dims.rank() > 0 && dims[0] == shape[0], "{} with row stride {} reshaped to {}", to_string(shape),
             row_stride, to_string(dims));
  }
  return view;
}

}  // namespace headwater
