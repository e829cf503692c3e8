#include "headwater/train/state_io.h"

#include <functional>

namespace headwater {
namespace {

// Fills `flat` parameter by parameter with what `read` writes into a dense f32 host tensor.
void load(ParameterStore& store, Backend& backend, TensorView flat,
          const std::function<void(const ParameterPlace& place, TensorView host)>& read) {
  std::vector<float> host;
  for (const ParameterPlace& place : store.layout().places()) {
    const std::int64_t count = place.slice().count;
    host.resize(static_cast<std::size_t>(count));
    const TensorView view(host.data(), DType::f32, {count});
    read(place, view);
    store.to_device(backend, flat, place, view);
  }
}

}  // namespace

void load_weights(ParameterStore& store, Backend& backend, const WeightSource& source) {
  load(store, backend, store.masters(), [&](const ParameterPlace& place, TensorView host) {
    source.read(place.spec.name, place.slice(), host);
  });
  store.weights_from_masters(backend);
}

void load_moments(ParameterStore& store, Backend& backend, const Checkpoint& checkpoint) {
  load(store, backend, store.first_moments(), [&](const ParameterPlace& place, TensorView host) {
    checkpoint.read(place.spec.name, StateKind::exp_avg, place.slice(), host);
  });
  load(store, backend, store.second_moments(), [&](const ParameterPlace& place, TensorView host) {
    checkpoint.read(place.spec.name, StateKind::exp_avg_sq, place.slice(), host);
  });
}

StateToSave::StateToSave(const ParameterStore& store, Backend& backend, const RankLayout& layout) {
  const std::pair<StateKind, TensorView> kinds[] = {{StateKind::weight, store.masters()},
                                                    {StateKind::exp_avg, store.first_moments()},
                                                    {StateKind::exp_avg_sq, store.second_moments()}};
  for (const ParameterPlace& place : store.layout().places()) {
    if (!layout.owns(place)) continue;
    for (const auto& [kind, flat] : kinds) {
      TensorView data = range_of(flat, place.offset, place.slice().count);
      if (data.device.kind != Device::Kind::cpu) {
        copies_.emplace_back(data.bytes());
        data = TensorView(copies_.back().data(), DType::f32, data.shape);
        store.to_host(backend, flat, place, data);
      }
      tensors_.push_back({place.spec.name, kind, place.spec.shape, place.slice(), data});
    }
  }
}

}  // namespace headwater
