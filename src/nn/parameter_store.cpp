#include "headwater/nn/parameter_store.h"

#include "headwater/tensor/convert.h"

#include <vector>

namespace headwater {

TensorView range_of(TensorView flat, std::int64_t begin, std::int64_t count) {
  if (!flat) return {};
  HW_CHECK(flat.shape.rank() == 1 && begin >= 0 && count >= 0 && begin + count <= flat.elements(),
           "range [{}, {}) of {}", begin, begin + count, to_string(flat.shape));
  return TensorView(static_cast<std::byte*>(flat.data) + static_cast<std::size_t>(begin) * size_of(flat.dtype), flat.dtype,
                    {count}, flat.device);
}

ParameterStore::ParameterStore(const ParameterLayout& layout, Arena& arena, Precision precision, bool training)
    : layout_(layout) {
  const Shape all{layout_.elements()};
  weights_ = arena.take("weights", precision.compute, all);
  masters_ = weights_;
  if (!training) return;
  if (precision.compute != precision.accumulate) masters_ = arena.take("master", precision.accumulate, all);
  gradients_ = arena.take("gradients", precision.accumulate, all);
  first_moments_ = arena.take("optimizer", precision.accumulate, all);
  second_moments_ = arena.take("optimizer", precision.accumulate, all);
}

bool ParameterStore::has(std::string_view name) const {
  for (const ParameterPlace& place : layout_.places())
    if (place.spec.name == name) return true;
  return false;
}

const ParameterPlace& ParameterStore::place(std::string_view name) const {
  for (const ParameterPlace& place : layout_.places())
    if (place.spec.name == name) return place;
  throw InternalError("no parameter is named {}", name);
}

TensorView ParameterStore::part(TensorView flat, const ParameterPlace& place) const {
  TensorView view = range_of(flat, place.offset, place.elements());
  return view ? view.reshaped(place.local) : view;
}

TensorView ParameterStore::weight(std::string_view name) const { return part(weights_, place(name)); }
TensorView ParameterStore::master(std::string_view name) const { return part(masters_, place(name)); }
TensorView ParameterStore::gradient(std::string_view name) const { return part(gradients_, place(name)); }

Linear ParameterStore::linear(std::string_view first, std::string_view last) {
  const ParameterPlace& begin = place(first);
  const ParameterPlace& end = place(last);
  const std::int64_t columns = begin.local[begin.local.rank() - 1];
  const std::int64_t count = end.offset + end.elements() - begin.offset;
  const auto matrix = [&](TensorView flat) {
    const TensorView view = range_of(flat, begin.offset, count);
    return view ? view.reshaped({count / columns, columns}) : view;
  };
  linears_.push_back({matrix(weights_), {}});
  return {&linears_.back(), matrix(gradients_)};
}

void ParameterStore::to_device(Backend& backend, TensorView flat, const ParameterPlace& place, TensorView host) const {
  const TensorView here = range_of(flat, place.offset, host.elements());
  if (here.dtype == host.dtype) return backend.to_device(host, here);
  std::vector<std::byte> converted(here.bytes());
  const TensorView same(converted.data(), here.dtype, here.shape);
  convert(host, same);
  backend.to_device(same, here);
}

void ParameterStore::to_host(Backend& backend, TensorView flat, const ParameterPlace& place, TensorView host) const {
  const TensorView here = range_of(flat, place.offset, host.elements());
  if (here.dtype == host.dtype) return backend.to_host(here, host);
  std::vector<std::byte> same(here.bytes());
  backend.to_host(here, TensorView(same.data(), here.dtype, here.shape));
  convert(TensorView(same.data(), here.dtype, here.shape), host);
}

void ParameterStore::refresh(Backend& backend) {
  for (Weight& weight : linears_) backend.refresh(weight);
}

void ParameterStore::weights_from_masters(Backend& backend) {
  if (masters_.data != weights_.data) backend.copy(masters_, weights_);
  refresh(backend);
}

}  // namespace headwater
