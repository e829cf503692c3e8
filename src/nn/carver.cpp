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
  HW_CHECK(used_ <= static_cast<std::int64_t>(block_.bytes()), "scratch of {} bytes is too small for {}", block_.bytes(),
           to_string(shape));
  return view;
}

NamedTensors place_tensors(const std::vector<ActivationSpec>& list, Arena& arena, std::string_view segment,
                           TensorView scratch, bool training) {
  NamedTensors tensors;
  Carver forward(scratch), backward(scratch);
  for (const ActivationSpec& spec : list) {
    if (spec.made == Pass::backward && !training) continue;
    if (is_kept(spec))
      tensors.add(spec.name, arena.take(segment, spec.dtype, spec.shape));
    else
      tensors.add(spec.name, (spec.made == Pass::forward ? forward : backward).take(spec.dtype, spec.shape));
  }
  return tensors;
}

}  // namespace headwater
