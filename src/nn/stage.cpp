#include "headwater/nn/stage.h"

#include <cmath>

namespace headwater {

Stage::Stage(const ModelSpec& model, const StageUnits& units, const StageOptions& options, ParameterStore& store,
             Arena& arena, Backend& backend, const StageMemory& memory)
    : units_(units), backend_(backend), memory_(memory) {
  if (units.has_embedding) {
    embedding_ = store.weight("embedding.weight");
    d_embedding_ = store.gradient("embedding.weight");
  }
  const auto tensors_of = [&](int unit) {
    return place_tensors(unit_tensors(model, unit, options.sharding, options.batch, options.precision), arena,
                         "activations", memory.scratch, options.training);
  };
  const auto is_layer = [&](int unit) { return unit != model.embedding_unit() && unit != model.head_unit(); };
  for (int unit = units.first; unit < units.last; ++unit)
    if (is_layer(unit))
      layers_.emplace_back(model.layers[static_cast<std::size_t>(unit) - 1], unit, store, memory.rotary_table);
  if (units.has_head) head_.emplace(model, store);

  for (int s = 0; s < options.slots; ++s) {
    Slot& slot = slots_.emplace_back();
    NamedTensors stream;
    for (const ActivationSpec& spec : micro_batch_tensors(options.batch))
      stream.add(spec.name, arena.take("activations", spec.dtype, spec.shape));
    slot.batch = {options.batch,          stream.at("tokens"),    stream.at("labels"),      stream.at("position"),
                  stream.at("attention_start"), stream.at("lfa_start"), stream.at("dropout_keys"), 0};
    for (int unit = units.first; unit < units.last; ++unit)
      if (is_layer(unit)) slot.layers.emplace_back(tensors_of(unit));
    if (units.has_head) slot.head.emplace(tensors_of(model.head_unit()));
  }
}

void Stage::forward(int slot_number, TensorView input, TensorView out, HeadMode mode, std::vector<LayerCache>* caches) {
  Slot& slot = slots_[static_cast<std::size_t>(slot_number)];
  BlockContext context = this->context(slot, mode == HeadMode::train);
  // Where the residual stream goes before layer i: that layer's input, at the end the head's or the caller's.
  const auto stream = [&](std::size_t i) {
    if (i < layers_.size()) return slot.layers[i].input;
    return head_ ? slot.head->input : out;
  };
  if (units_.has_embedding)
    backend_.embedding(slot.batch.tokens, embedding_, 0, stream(0));
  else
    backend_.copy(input, stream(0));
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (caches != nullptr) context.cache = &(*caches)[i];
    layers_[i].forward(context, slot.layers[i], stream(i + 1));
  }
  if (!head_) return;
  if (mode == HeadMode::train) head_->forward(context, *slot.head, memory_.scalars);
  if (mode == HeadMode::evaluate) head_->evaluate(context, *slot.head, memory_.scalars);
}

void Stage::backward(int slot_number, TensorView d_out, TensorView d_input) {
  Slot& slot = slots_[static_cast<std::size_t>(slot_number)];
  const BlockContext context = this->context(slot, true);
  TensorView gradient = d_out;
  int turn = 0;
  if (head_) {
    gradient = memory_.stream_gradient[turn];
    head_->backward(context, *slot.head, gradient);
  }
  for (std::size_t i = layers_.size(); i-- > 0;) {
    turn = 1 - turn;
    const TensorView below = i == 0 && d_input ? d_input : memory_.stream_gradient[turn];
    layers_[i].backward(context, slot.layers[i], gradient, below);
    deferred_.drain(backend_);
    gradient = below;
  }
  if (units_.has_embedding)
    backend_.embedding_backward(slot.batch.tokens, gradient, 0, d_embedding_);
  else if (gradient.data != d_input.data)
    backend_.copy(gradient, d_input);  // a stage without layers
}

void Stage::logits(int slot_number, std::int64_t first,
                   const std::function<void(std::int64_t row, TensorView block)>& sink) {
  const Slot& slot = slots_[static_cast<std::size_t>(slot_number)];
  HW_CHECK(head_, "logits of a stage without a head");
  head_->logits(context(slot, false), *slot.head, first, sink);
}

void fill_rotary_table(TensorView host, double base) {
  const std::int64_t pairs = host.shape[1];
  for (std::int64_t p = 0; p < host.rows(); ++p)
    for (std::int64_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(p) * std::pow(base, -static_cast<double>(i) / static_cast<double>(pairs));
      const double turn[2] = {std::cos(angle), std::sin(angle)};
      for (std::int64_t k = 0; k < 2; ++k) {
        const std::int64_t at = (p * pairs + i) * 2 + k;
        if (host.dtype == DType::f64)
          host.as<double>()[at] = turn[k];
        else
          host.as<float>()[at] = static_cast<float>(turn[k]);
      }
    }
}

}  // namespace headwater
