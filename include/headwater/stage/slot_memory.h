#pragma once
// The activations of one chunk: what each of its slots holds, taken from the arena as layout/tensor_home.h
// and arena_layout.h count it, and the scratch that all units share. A unit's tensors for one pass are put
// together from the slots that the pass names.

#include "headwater/layout/arena_layout.h"
#include "headwater/nn/block.h"
#include "headwater/tensor/arena.h"

#include <compare>
#include <vector>

namespace headwater {

// The slots of one micro-batch (schedule/lowering.h); a pass names those that it touches.
struct SlotNumbers {
  int slot = 0, weight_slot = 0, delayed_slot = -1;
  auto operator<=>(const SlotNumbers&) const = default;
};

struct StageOptions {
  Sharding sharding;
  BatchShape batch;
  Precision precision;
  SlotCounts slots;
  bool training = true;
  Device::Kind device = Device::Kind::cpu;
  std::int64_t cached_tokens = 0;  // generation: tokens that caches have room for

  UnitSite site(const ModelSpec& model, const StageUnits& stage, int unit) const {
    return {model,
            unit,
            sharding,
            batch,
            precision,
            device,
            cached_tokens,
            stage.receives_input(unit),
            stage.receives_gradient(unit)};
  }
};

class SlotMemory {
 public:
  SlotMemory(const ModelSpec& model, const StageUnits& units, const StageOptions& options, Arena& arena,
             TensorView scratch);

  MicroBatch& micro_batch(int slot) { return batches_[static_cast<std::size_t>(slot)]; }
  // The unit's tensors in that pass, by TensorId; those that the pass does not know are empty.
  std::vector<TensorView> tensors(int unit, UnitPass pass, const SlotNumbers& numbers) const;

 private:
  using Views = std::vector<TensorView>;  // by TensorId; empty where the tensor is at home elsewhere
  struct Unit {
    std::vector<ActivationSpec> list;
    Recompute recompute;
    std::vector<Views> slots, weight_slots, delayed_slots;
  };

  int first_unit_;
  TensorView scratch_;
  std::vector<MicroBatch> batches_;  // per slot
  std::vector<Unit> units_;
};

}  // namespace headwater
