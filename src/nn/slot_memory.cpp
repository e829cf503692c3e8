#include "headwater/nn/slot_memory.h"

namespace headwater {
namespace {

MicroBatch take_micro_batch(BatchShape shape, Arena& arena) {
  NamedTensors stream;
  for (const ActivationSpec& spec : micro_batch_tensors(shape))
    stream.add(spec.name, arena.take("activations", spec.dtype, spec.shape));
  return {shape,
          stream.at("tokens"),
          stream.at("labels"),
          stream.at("position"),
          stream.at("attention_start"),
          stream.at("lfa_start"),
          stream.at("dropout_keys"),
          0};
}

}  // namespace

SlotMemory::SlotMemory(const ModelSpec& model, const StageUnits& units, const StageOptions& options,
                       Arena& arena, TensorView scratch)
    : first_unit_(units.first), scratch_(scratch) {
  for (int slot = 0; slot < options.slots.slots; ++slot)
    batches_.push_back(take_micro_batch(options.batch, arena));
  for (int number = units.first; number < units.last; ++number) {
    Unit unit{unit_tensors(model, number, options.sharding, options.batch, options.precision, options.device),
              units.recompute_of(number),
              {},
              {},
              {}};
    const auto take = [&](int count, UnitPass pass, Home home) {
      std::vector<NamedTensors> slots(static_cast<std::size_t>(count));
      for (NamedTensors& slot : slots)
        for (const ActivationSpec& spec : unit.list)
          if (home_of(spec, unit.recompute, pass) == home)
            slot.add(spec.name, arena.take("activations", spec.dtype, spec.shape));
      return slots;
    };
    unit.slots = take(options.slots.slots, UnitPass::forward, Home::slot);
    unit.weight_slots = take(options.slots.weight_slots, UnitPass::forward, Home::weight_slot);
    unit.delayed_slots = take(options.slots.delayed_slots, UnitPass::input_gradient, Home::delayed_slot);
    units_.push_back(std::move(unit));
  }
}

NamedTensors SlotMemory::tensors(int unit_number, UnitPass pass, const SlotNumbers& numbers) const {
  const Unit& unit = units_[static_cast<std::size_t>(unit_number - first_unit_)];
  NamedTensors tensors;
  Carver whole(scratch_);
  for (const ActivationSpec& spec : unit.list)
    if (home_of(spec, unit.recompute, pass) == Home::pass_scratch)
      tensors.add(spec.name, whole.take(spec.dtype, spec.shape));
  Carver forward = whole, backward = whole;
  for (const ActivationSpec& spec : unit.list) {
    const auto add_from = [&](const std::vector<NamedTensors>& slots, int number) {
      tensors.add(spec.name, slots.at(static_cast<std::size_t>(number)).at(spec.name));
    };
    switch (home_of(spec, unit.recompute, pass)) {
      case Home::none:
      case Home::pass_scratch: break;
      case Home::slot: add_from(unit.slots, numbers.slot); break;
      case Home::weight_slot: add_from(unit.weight_slots, numbers.weight_slot); break;
      case Home::delayed_slot: add_from(unit.delayed_slots, numbers.delayed_slot); break;
      case Home::forward_scratch: tensors.add(spec.name, forward.take(spec.dtype, spec.shape)); break;
      case Home::backward_scratch: tensors.add(spec.name, backward.take(spec.dtype, spec.shape)); break;
    }
  }
  return tensors;
}

}  // namespace headwater
