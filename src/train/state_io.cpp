#include "headwater/train/state_io.h"

#include <functional>

namespace headwater {
namespace {

// Fills `flat` parameter by parameter with what `read` writes into a dense f32 host tensor.
void load(ParameterStore& store, Backend& backend, TensorView flat,
          const std::function<void(const ParameterSpec& spec, TensorView host)>& read) {
  std::vector<float> host;
  for (const ParameterPlace& place : store.layout().places()) {
    host.resize(static_cast<std::size_t>(place.spec.elements()));
    const TensorView view(host.data(), DType::f32, {place.spec.elements()});
    read(place.spec, view);
    store.to_device(backend, flat, place, view);
  }
}

}  // namespace

void load_weights(ParameterStore& store, Backend& backend, const WeightSource& source) {
  load(store, backend, store.masters(), [&](const ParameterSpec& spec, TensorView host) {
    source.read(spec.name, whole(spec.shape), host);
  });
  store.weights_from_masters(backend);
}

void load_moments(ParameterStore& store, Backend& backend, const Checkpoint& checkpoint) {
  load(store, backend, store.first_moments(), [&](const ParameterSpec& spec, TensorView host) {
    checkpoint.read(spec.name, StateKind::exp_avg, whole(spec.shape), host);
  });
  load(store, backend, store.second_moments(), [&](const ParameterSpec& spec, TensorView host) {
    checkpoint.read(spec.name, StateKind::exp_avg_sq, whole(spec.shape), host);
  });
}

StateToSave::StateToSave(const ParameterStore& store, Backend& backend, bool first_replica) {
  if (!first_replica) return;
  const std::pair<StateKind, TensorView> kinds[] = {{StateKind::weight, store.masters()},
                                                    {StateKind::exp_avg, store.first_moments()},
                                                    {StateKind::exp_avg_sq, store.second_moments()}};
  for (const ParameterPlace& place : store.layout().places()) {
    if (place.second_copy) continue;
    for (const auto& [kind, flat] : kinds) {
      TensorView data = range_of(flat, place.offset, place.spec.elements());
      if (data.device.kind != Device::Kind::cpu) {
        copies_.emplace_back(data.bytes());
        data = TensorView(copies_.back().data(), DType::f32, data.shape);
        store.to_host(backend, flat, place, data);
      }
      tensors_.push_back({place.spec.name, kind, place.spec.shape, whole(place.spec.shape), data});
    }
  }
}

}  // namespace headwater
