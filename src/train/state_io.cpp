#include "headwater/train/state_io.h"

#include <utility>

namespace headwater {

void load_weights(ParameterStore& store, Backend& backend, const WeightSource& source) {
  std::vector<float> host;
  for (const ParameterPlace& place : store.layout().places()) {
    const Slice slice = place.slice();
    host.resize(static_cast<std::size_t>(slice.count));
    const TensorView view(host.data(), DType::f32, {slice.count});
    source.read(place.spec.name, slice, view);
    store.set_weights(backend, place, view);
  }
}

void load_moments(ParameterStore& store, Backend& backend, const Checkpoint& checkpoint) {
  std::vector<float> host;
  for (const auto& [kind, flat] : {std::pair{StateKind::exp_avg, store.first_moments()},
                                   std::pair{StateKind::exp_avg_sq, store.second_moments()}})
    for (const ParameterPlace& place : store.layout().places()) {
      const Slice slice = place.updated_slice();
      if (slice.count == 0) continue;  // another rank updates it, or nobody
      host.resize(static_cast<std::size_t>(slice.count));
      const TensorView view(host.data(), DType::f32, {slice.count});
      checkpoint.read(place.spec.name, kind, slice, view);
      upload(backend, view, store.updated(flat, place));
    }
}

StateToSave::StateToSave(const ParameterStore& store, Backend& backend) {
  const std::pair<StateKind, TensorView> kinds[] = {{StateKind::weight, store.masters()},
                                                    {StateKind::exp_avg, store.first_moments()},
                                                    {StateKind::exp_avg_sq, store.second_moments()}};
  for (const ParameterPlace& place : store.layout().places()) {
    const Slice slice = place.saved_slice();
    if (!place.counted_here || slice.count == 0) continue;
    for (const auto& [kind, flat] : kinds) {
      if (!place.spec.trained && kind != StateKind::weight) continue;
      TensorView data = place.spec.trained ? store.updated(flat, place) : store.part(store.weights(), place);
      if (data.device.kind != Device::Kind::cpu || data.dtype != DType::f32) {
        const TensorView device = data;
        copies_.emplace_back(static_cast<std::size_t>(slice.count) * sizeof(float));
        data = TensorView(copies_.back().data(), DType::f32, data.shape);
        download(backend, device, data);
      }
      tensors_.push_back({place.spec.name, kind, place.spec.shape, slice, data});
    }
  }
}

}  // namespace headwater
