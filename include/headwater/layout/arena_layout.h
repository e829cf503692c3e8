#pragma once
// The offset of every parameter and the size of every segment of one rank's Arena, from the descriptions alone. The
// engine reserves by it and the planner prints it; a test holds what is taken equal to it, to the byte.
//
// Weights, master weights, gradients and both moments share one layout of elements: parameter p lies at [offset, offset +
// elements) in each. Units follow one another; a gradient bucket is a contiguous range of them whose gradients are summed
// over the same axes.

#include "headwater/layout/stage_layout.h"
#include "headwater/layout/tensor_home.h"
#include "headwater/model/activation_spec.h"
#include "headwater/model/parameter_spec.h"
#include "headwater/tensor/slice.h"

#include <string>
#include <vector>

namespace headwater {

struct ParameterPlace {
  ParameterSpec spec;
  Box box;                    // the shard: which part of the global tensor lies here
  Shape local;                // its shape in memory, padding (rows behind it) included
  std::int64_t offset = 0;    // elements
  bool second_copy = false;   // the head's copy of a tied embedding whose first copy lies on another rank
  std::int64_t elements() const { return local.elements(); }
  Slice slice() const { return {box, 0, box.size.elements()}; }
};

struct Bucket {
  AxisSet reduced_over;
  bool tied_across_stages = false;  // also summed with the same bucket at the other end of the pipeline
  std::int64_t begin = 0, end = 0;  // elements
};

// The parameters of one rank; its chunks' units in order. Those whose gradients are summed over tensor ranks too (small
// ones: gains and biases of token shards) stand behind the others of their chunk, so that buckets stay large.
class ParameterLayout {
 public:
  // Of the rank with place `tensor_rank` among those that share its layers.
  ParameterLayout(const ModelSpec& model, const std::vector<StageUnits>& chunks, const Sharding& sharding,
                  int tensor_rank = 0);

  const std::vector<ParameterPlace>& places() const { return places_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  std::int64_t elements() const { return elements_; }

 private:
  void place(const ParameterSpec& spec, const Sharding& sharding, int tensor_rank, bool second_copy);
  std::vector<ParameterPlace> places_;
  std::vector<Bucket> buckets_;
  std::int64_t elements_ = 0;
};

// Slots of each lifetime (tensor_home.h) that a chunk needs, and whether any of its backwards is taken whole.
struct SlotCounts {
  int slots = 1, weight_slots = 1, delayed_slots = 0;
  bool whole_backward = true;
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
std::vector<ActivationSpec> unit_tensors(const ModelSpec& model, int unit, const Sharding& sharding, BatchShape batch,
                                         Precision precision);

struct SegmentSize {
  std::string name;
  std::int64_t bytes = 0;
};

struct MemoryRequest {
  std::vector<ChunkNeeds> chunks;
  Sharding sharding;
  BatchShape batch;
  Precision precision;
  bool training = true;          // gradients, moments and backward's tensors too
  std::int64_t op_workspace = 0; // bytes (model/op_workspace.h)
};

// Bytes of the scratch that all units of a rank share: the largest need of one unit's pass.
std::int64_t scratch_bytes(const ModelSpec& model, const MemoryRequest& request);

// Segments in the order in which they are reserved: weights, master, gradients, optimizer, activations, workspace,
// communication, constants. Sizes of 0 are left out.
std::vector<SegmentSize> arena_layout(const ModelSpec& model, const ParameterLayout& parameters,
                                      const MemoryRequest& request);

// The rotary table's rows: positions that a sample can have.
std::int64_t rotary_positions(const ModelSpec& model, BatchShape batch);

}  // namespace headwater
