#pragma once
// The size of every segment of one rank's Arena, from the descriptions alone. The engine reserves by it and
// the planner prints it; a test holds what is taken equal to it, to the byte.

#include "headwater/layout/parameter_layout.h"
#include "headwater/layout/tensor_home.h"
#include "headwater/nn/unit_description.h"

#include <set>
#include <string>
#include <vector>

namespace headwater {

// Slots of each lifetime (tensor_home.h) that a chunk needs, and whether any of its backwards is taken whole.
struct SlotCounts {
  int slots = 1, weight_slots = 1, delayed_slots = 0;
  bool whole_backward = true;
};

// The bytes that one micro-batch keeps in a slot of each lifetime.
struct SlotBytes {
  std::int64_t slot = 0, weight_slot = 0, delayed_slot = 0;
  std::int64_t times(const SlotCounts& counts) const {
    return counts.slots * slot + counts.weight_slots * weight_slot + counts.delayed_slots * delayed_slot;
  }
  SlotBytes& operator+=(const SlotBytes& other);
};

// Says what one chunk of this rank needs beside its parameters. The numbers come from the lowered schedule.
struct ChunkNeeds {
  StageUnits units;
  SlotCounts slots;
  // Transfer buffers of all kinds, each of the residual stream's size. What the stage receives stays in them
  // as long as a slot would have to keep it (schedule/lowering.h).
  int buffers = 0;
};

// The arrays of a micro-batch that the units of a stage read, which the stage takes from the stream itself.
std::set<BatchArray> batch_arrays(const ModelSpec& model, const StageUnits& stage);
// The tensor that holds such an array in each slot.
ActivationSpec batch_tensor(BatchArray array, BatchShape batch);
// The bytes of the tensors of such arrays.
std::int64_t micro_batch_bytes(const std::set<BatchArray>& arrays, BatchShape batch);

// Returns what one micro-batch keeps of the unit in the slots of each lifetime.
SlotBytes unit_slot_bytes(const UnitSite& site, Recompute recompute);

struct SegmentSize {
  std::string name;
  std::int64_t bytes = 0;
};

struct MemoryRequest {
  std::vector<ChunkNeeds> chunks;
  Sharding sharding;
  BatchShape batch;
  Precision precision;
  bool training = true;           // gradients, moments and backward's tensors too
  std::int64_t op_workspace = 0;  // bytes (nn/unit_record.h, op_workspace_bytes)
  Device::Kind device = Device::Kind::cpu;
  std::int64_t cached_tokens = 0;  // generation: tokens that a layer's caches have room for

  UnitSite site(const ModelSpec& model, int unit) const {
    return {.model = model,
            .unit = unit,
            .sharding = sharding,
            .batch = batch,
            .precision = precision,
            .device = device,
            .cached_tokens = cached_tokens};
  }
  // Where the unit stands in a stage.
  UnitSite site(const ModelSpec& model, const StageUnits& stage, int unit) const {
    UnitSite site = this->site(model, unit);
    site.receives_input = stage.receives_input(unit);
    site.receives_gradient = stage.receives_gradient(unit);
    return site;
  }
};

// Whether the weight gradient of any layer reads the gradient of the residual stream behind it. A stage that
// receives that gradient must then keep it until the weight gradient is taken.
bool weight_gradients_read_stream(const ModelSpec& model, const MemoryRequest& request);

// The constants of all units of the chunks; those of one name are one.
std::vector<ConstantSpec> unit_constants(const ModelSpec& model, const MemoryRequest& request);

// Bytes of the scratch that all units of a rank share: the largest need of one unit's pass.
std::int64_t scratch_bytes(const ModelSpec& model, const MemoryRequest& request);

// Segments in the order in which they are reserved: weights, master, gradients, optimizer, activations,
// workspace, communication, constants. Sizes of 0 are left out.
std::vector<SegmentSize> arena_layout(const ModelSpec& model, const ParameterLayout& parameters,
                                      const MemoryRequest& request);

}  // namespace headwater
