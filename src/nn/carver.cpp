#include "headwater/nn/carver.h"

namespace headwater {

TensorView NamedTensors::find(std::string_view name) const {
  for (const auto& [key, view] : views_)
    if (key == name) return view;
  return {};
}

TensorView NamedTensors::at(std::string_view name) const {
  const TensorView view = find(name);
  HW_CHECK(view, "no tensor is named {}", name);
  return view;
}

TensorView Carver::take(DType dtype, Shape shape) {
  TensorView view(static_cast<std::byte*>(block_.data) + used_, dtype, shape, block_.device);
  used_ += aligned(static_cast<std::int64_t>(view.bytes()));
  HW_CHECK(used_ <= static_cast<std::int64_t>(block_.bytes()), "scratch of {} bytes is too small for {}",
           block_.bytes(), to_string(shape));
  return view;
}

}  // namespace headwater
