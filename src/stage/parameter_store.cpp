#include "headwater/stage/parameter_store.h"

#include "headwater/backend/random_operands.h"
#include "headwater/tensor/convert.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace headwater {

TensorView range_of(TensorView flat, std::int64_t begin, std::int64_t count) {
  if (!flat) return {};
  HW_CHECK(flat.shape.rank() == 1 && begin >= 0 && count >= 0 && begin + count <= flat.elements(),
           "range [{}, {}) of {}", begin, begin + count, to_string(flat.shape));
  return TensorView(
      static_cast<std::byte*>(flat.data) + static_cast<std::size_t>(begin) * size_of(flat.dtype), flat.dtype,
      {count}, flat.device);
}

ParameterStore::ParameterStore(const ParameterLayout& layout, Arena& arena, Precision precision,
                               bool training)
    : layout_(layout), coming_(layout.buckets().size()) {
  weights_ = arena.take("weights", precision.compute, {layout_.elements()});
  masters_ = weights_;
  if (!training || layout_.trained_elements() == 0) return;
  const Shape updated{layout_.updated_elements()};
  if (precision.compute != precision.accumulate)
    masters_ = arena.take("master", precision.accumulate, updated);
  gradients_ = arena.take("gradients", precision.accumulate, {layout_.trained_elements()});
  first_moments_ = arena.take("optimizer", precision.accumulate, updated);
  second_moments_ = arena.take("optimizer", precision.accumulate, updated);
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

TensorView ParameterStore::shaped(TensorView flat, const ParameterPlace& place) const {
  const TensorView view = range_of(flat, place.offset, place.elements());
  return view ? view.reshaped(place.local) : view;
}

TensorView ParameterStore::weight(std::string_view name) const { return shaped(weights_, place(name)); }
TensorView ParameterStore::gradient(std::string_view name) const {
  const ParameterPlace& place = this->place(name);
  return place.spec.trained ? shaped(gradients_, place) : TensorView();
}

Linear ParameterStore::linear(std::string_view first, std::string_view last) const {
  const ParameterPlace& begin = place(first);
  const ParameterPlace& end = place(last);
  const std::int64_t columns = begin.local[begin.local.rank() - 1];
  const std::int64_t count = end.offset + end.elements() - begin.offset;
  const auto matrix = [&](TensorView flat) {
    const TensorView view = range_of(flat, begin.offset, count);
    return view ? view.reshaped({count / columns, columns}) : view;
  };
  return {matrix(weights_), begin.spec.trained ? matrix(gradients_) : TensorView()};
}

TensorView ParameterStore::updated(TensorView flat, Range elements) const {
  if (elements.size() == 0) return range_of(flat, 0, 0);
  if (flat.elements() >= layout_.trained_elements()) return range_of(flat, elements);
  const Bucket& bucket = layout_.buckets()[layout_.bucket_at(elements.begin)];
  const Range shard = layout_.shard(bucket);
  HW_CHECK(shard.begin <= elements.begin && elements.end <= shard.end,
           "elements [{}, {}) of the shard [{}, {})", elements.begin, elements.end, shard.begin, shard.end);
  return range_of(flat, layout_.updated(bucket).begin + elements.begin - shard.begin, elements.size());
}

// Whether this rank keeps masters of the parameter beside its weights.
bool ParameterStore::has_masters(const ParameterPlace& place) const {
  return masters_.data != weights_.data && place.updated.size() > 0;
}

void ParameterStore::set_weights(Backend& backend, const ParameterPlace& place, TensorView host) {
  upload(backend, host, part(weights_, place));
  if (has_masters(place)) upload(backend, range_of(host, place.updated), updated(masters_, place));
}

void ParameterStore::repeat_weights(Backend& backend, const ParameterPlace& place, TensorView host) {
  const TensorView weights = part(weights_, place);
  std::vector<std::byte> converted(static_cast<std::size_t>(host.elements()) * size_of(weights.dtype));
  const TensorView pattern(converted.data(), weights.dtype, host.shape);
  convert(host, pattern);
  fill_again_and_again(backend, pattern, weights);
  if (has_masters(place))
    backend.run(op::Copy{.from = range_of(weights, place.updated), .to = updated(masters_, place)});
}

void ParameterStore::weights_ready_after(std::size_t bucket, Event ready) {
  coming_[bucket] = {true, std::move(ready)};
}

void ParameterStore::wait_for_weights(Backend& backend, int unit) {
  for (std::size_t bucket = 0; bucket < coming_.size(); ++bucket)
    if (coming_[bucket].due && std::ranges::binary_search(layout_.buckets()[bucket].units, unit))
      wait_for_bucket(backend, bucket);
}

void ParameterStore::wait_for_weights(Backend& backend) {
  for (std::size_t bucket = 0; bucket < coming_.size(); ++bucket)
    if (coming_[bucket].due) wait_for_bucket(backend, bucket);
}

bool ParameterStore::weights_arrived(int unit) const {
  for (std::size_t bucket = 0; bucket < coming_.size(); ++bucket)
    if (coming_[bucket].due && std::ranges::binary_search(layout_.buckets()[bucket].units, unit))
      return false;
  return true;
}

void ParameterStore::wait_for_bucket(Backend& backend, std::size_t bucket) {
  backend.queue().wait(coming_[bucket].ready);
  coming_[bucket] = {};
}

void upload(Backend& backend, TensorView host, TensorView device) {
  if (device.dtype == host.dtype) return backend.to_device(host, device);
  std::vector<std::byte> converted(device.bytes());
  const TensorView same(converted.data(), device.dtype, device.shape);
  convert(host, same);
  backend.to_device(same, device);
}

void download(Backend& backend, TensorView device, TensorView host) {
  if (device.dtype == host.dtype) return backend.to_host(device, host);
  std::vector<std::byte> same(device.bytes());
  backend.to_host(device, TensorView(same.data(), device.dtype, device.shape));
  convert(TensorView(same.data(), device.dtype, device.shape), host);
}

}  // namespace headwater
