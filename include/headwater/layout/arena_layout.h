#pragma once
// The size of every segment of one rank's Arena, from the descriptions alone. The engine reserves by it and
// the planner prints it; a test holds what is taken equal to it, to the byte.

#include "headwater/layout/parameter_layout.h"
#include "headwater/layout/tensor_home.h"
#include "headwater/model/activation_spec.h"

#include <string>
#include <vector>

namespace headwater {

// Slots of each lifetime (tensor_home.h) that a chunk needs, and whether any of its backwards is taken whole.
struct SlotCounts {
  int slots = 1, weight_slots = 1, delayed_slots = 0;
  bool whole_backward = true;
};

// What one micro-batch keeps in a slot of each lifetime.
struct SlotBytes {
  std::int64_t slot = 0, weight_slot = 0, delayed_slot = 0;
  std::int64_t times(const SlotCounts& counts) const {
    return counts.slots * slot + counts.weight_slots * weight_slot + counts.delayed_slots * delayed_slot;
  }
  SlotBytes& operator+=(const SlotBytes& other);
};

// What one chunk of this rank needs beside its parameters; the numbers come from the lowered schedule.
struct ChunkNeeds {
  StageUnits units;
  SlotCounts slots;
  int buffers = 0;  // transfer buffers of all kinds, each of the residual stream's size
};

// Tensors of one micro-batch that every stage takes from the stream itself (nn/micro_batch.h).
std::vector<ActivationSpec> micro_batch_tensors(BatchShape batch);

// What unit `u` of the model lists (model/activation_spec.h).
std::vector<ActivationSpec> unit_tensors(const ModelSpec& model, int unit, const Sharding& sharding,
                                         BatchShape batch, Precision precision, Device::Kind device);

// Of one unit.
SlotBytes unit_slot_bytes(const ModelSpec& model, int unit, Recompute recompute, const Sharding& sharding,
                          BatchShape batch, Precision precision, Device::Kind device);
// Of micro_batch_tensors.
std::int64_t micro_batch_bytes(BatchShape batch);

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
  std::int64_t op_workspace = 0;  // bytes (model/op_workspace.h)
  Device::Kind device = Device::Kind::cpu;
};

// Bytes of the scratch that all units of a rank share: the largest need of one unit's pass.
std::int64_t scratch_bytes(const ModelSpec& model, const MemoryRequest& request);

// Segments in the order in which they are reserved: weights, master, gradients, optimizer, activations,
// workspace, communication, constants. Sizes of 0 are left out.
std::vector<SegmentSize> arena_layout(const ModelSpec& model, const ParameterLayout& parameters,
                                      const MemoryRequest& request);

// The one table of rotary angles that every layer of a model reads, a cosine and a sine for each pair of
// elements of a head at each position.
struct RotaryTable {
  std::int64_t positions = 0;  // that a sample can have
  std::int64_t head_dim = 0;
  double base = 0.0;
  Shape shape() const { return {positions, head_dim / 2, 2}; }
  std::int64_t elements() const { return shape().elements(); }
};
// InternalError where layers differ in what the table depends on.
RotaryTable rotary_table_of(const ModelSpec& model, BatchShape batch);

}  // namespace headwater
