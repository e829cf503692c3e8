#include "headwater/stage/slot_memory.h"

#include "headwater/nn/model_units.h"

#include "scratch_allocator.h"

namespace headwater {
namespace {

TensorView& tensor_of(MicroBatch& batch, BatchArray array) {
  switch (array) {
    case BatchArray::tokens: return batch.tokens;
    case BatchArray::labels: return batch.labels;
    case BatchArray::position: return batch.position;
    case BatchArray::attention_start: return batch.attention_start;
    case BatchArray::lfa_start: return batch.lfa_start;
    case BatchArray::dropout_keys: return batch.dropout_keys;
  }
  throw InternalError("no array {} of a micro-batch", static_cast<int>(array));
}

MicroBatch take_micro_batch(const std::set<BatchArray>& arrays, BatchShape shape, Arena& arena) {
  MicroBatch batch;
  batch.shape = shape;
  for (const BatchArray array : arrays) {
    const ActivationSpec spec = batch_tensor(array, shape);
    tensor_of(batch, array) = arena.take("activations", spec.dtype, spec.shape);
  }
  return batch;
}

}  // namespace

SlotMemory::SlotMemory(const ModelSpec& model, const StageUnits& units, const StageOptions& options,
                       Arena& arena, TensorView scratch)
    : first_unit_(units.first), scratch_(scratch) {
  const std::set<BatchArray> arrays = batch_arrays(model, units);
  for (int slot = 0; slot < options.slots.slots; ++slot)
    batches_.push_back(take_micro_batch(arrays, options.batch, arena));
  for (int number = units.first; number < units.last; ++number) {
    Unit unit{describe(options.site(model, units, number)).tensors(), units.recompute_of(number), {}, {}, {}};
    const auto take = [&](int count, UnitPass pass, Home home) {
      std::vector<Views> slots(static_cast<std::size_t>(count), Views(unit.list.size()));
      for (Views& slot : slots)
        for (std::size_t i = 0; i < slot.size(); ++i)
          if (const ActivationSpec& spec = unit.list[i]; home_of(spec, unit.recompute, pass) == home)
            slot[i] = arena.take("activations", spec.dtype, spec.shape);
      return slots;
    };
    unit.slots = take(options.slots.slots, UnitPass::forward, Home::slot);
    unit.weight_slots = take(options.slots.weight_slots, UnitPass::forward, Home::weight_slot);
    unit.delayed_slots = take(options.slots.delayed_slots, UnitPass::input_gradient, Home::delayed_slot);
    units_.push_back(std::move(unit));
  }
}

std::vector<TensorView> SlotMemory::tensors(int unit_number, UnitPass pass,
                                            const SlotNumbers& numbers) const {
  const Unit& unit = units_[static_cast<std::size_t>(unit_number - first_unit_)];
  Views tensors(unit.list.size());
  ScratchAllocator whole(scratch_);
  for (std::size_t i = 0; i < tensors.size(); ++i)
    if (const ActivationSpec& spec = unit.list[i]; home_of(spec, unit.recompute, pass) == Home::pass_scratch)
      tensors[i] = whole.take(spec.dtype, spec.shape);
  ScratchAllocator forward = whole, backward = whole;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const ActivationSpec& spec = unit.list[i];
    const auto from = [&](const std::vector<Views>& slots, int number) {
      return slots.at(static_cast<std::size_t>(number))[i];
    };
    switch (home_of(spec, unit.recompute, pass)) {
      case Home::none:
      case Home::pass_scratch: break;
      case Home::slot: tensors[i] = from(unit.slots, numbers.slot); break;
      case Home::weight_slot: tensors[i] = from(unit.weight_slots, numbers.weight_slot); break;
      case Home::delayed_slot: tensors[i] = from(unit.delayed_slots, numbers.delayed_slot); break;
      case Home::forward_scratch: tensors[i] = forward.take(spec.dtype, spec.shape); break;
      case Home::backward_scratch: tensors[i] = backward.take(spec.dtype, spec.shape); break;
    }
  }
  return tensors;
}

}  // namespace headwater
