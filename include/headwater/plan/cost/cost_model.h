#pragma once
// How long each unit of a model takes on a device. Computed from the descriptions that the engine runs, FLOPs
// (model/flops.h) and bytes (model/activation_spec.h, model/parameter_spec.h); nothing here is measured.
//
// Matrix products take max(FLOPs / (peak × efficiency), bytes / memory bandwidth). The bytes are those of the
// weights, which are read; in a weight gradient those of its sum, which is read and written. Attention's
// backward takes five products where its forward takes two, because it computes the scores again. All other
// ops take bytes / memory bandwidth: each tensor that a pass makes moves once, and a backward moves once more
// each tensor that the forward kept for it.
//
// Programs that keep all attention scores in memory compute the whole square of them and move it as often as
// the constants of attention_cost.cpp say.
//
// Tensor ranks sum, in forward, the output of each of a layer's two branches and that of its filter, and in
// backward as often the gradients of the branches' inputs. With sequence parallelism each sum is a
// reduce-scatter, and the inputs of the products are gathered before them, in backward once more. A filter
// that is cut by tokens needs neither; it gets the vectors before its shard from the neighbour on the left.

#include "headwater/layout/stage_layout.h"
#include "headwater/model/flops.h"
#include "headwater/model/recompute.h"
#include "headwater/plan/cost/group_network.h"
#include "headwater/plan/cost/pass_seconds.h"

#include <vector>

namespace headwater {

// The speed that a device reaches in training steps, and what its program does otherwise than Headwater.
struct EffectiveSpeed {
  double product_flops = 0.0;     // peak × efficiency, FLOP/s
  double memory_bandwidth = 0.0;  // bytes/s
  SoftwareFigures software;
};

// The work of one rank: a micro-batch, and how the ranks of a stage share its layers.
struct RankWork {
  ModelSpec model;
  Sharding sharding;
  BatchShape batch;
  Precision precision;
  Device::Kind device = Device::Kind::cpu;
};

class CostModel {
 public:
  // `tensor` is the network between the ranks that share a layer.
  CostModel(const RankWork& work, const EffectiveSpeed& device, const GroupNetwork& tensor);

  const PassSeconds& unit(int unit, Recompute recompute) const;
  PassSeconds stage(const StageUnits& units) const;

  // Bytes of a message between two stages, from one device to its counterpart.
  double message_bytes() const;
  // Bytes that a device sends to the ranks that share its layers, for one micro-batch. Where ranks send
  // different amounts, those of the rank that sends most.
  double tensor_bytes(int unit, Recompute recompute) const;
  // FLOPs that backward repeats, of all devices that share the unit together.
  double recompute_flops_per_token(int unit, Recompute recompute) const;

  // Seconds that a device takes to zero the gradients of `elements` parameters, to take their norm, and to
  // update the parameters by AdamW.
  double optimizer_seconds(double elements) const;

 private:
  PassSeconds layer(const LayerSpec& layer, double weights, Recompute recompute) const;
  // FLOPs per token that backward repeats, on all devices together.
  UnitFlops again(const LayerSpec& layer, Recompute recompute) const;
  PassSeconds embedding() const;
  PassSeconds head(double weights) const;
  // What the ranks that share a layer send each other for one micro-batch.
  struct Exchanged {
    double scatters = 0.0;       // reduce-scatters and all-gathers of one [T, H]; an all-reduce is two
    int messages = 0;            // to the neighbour
    double message_bytes = 0.0;  // of all messages together
    Exchanged& operator+=(const Exchanged& other);
  };
  Exchanged exchanged(const LayerSpec& layer, Pass pass) const;
  Exchanged exchanged_again(const LayerSpec& layer) const;  // when full recomputation repeats the forward
  double seconds(const Exchanged& exchanged) const;
  double bytes(const Exchanged& forward, const Exchanged& backward) const;  // sent by the busiest device
  double product_seconds(double flops, double bytes) const;
  double moved_seconds(double bytes) const { return bytes / device_.memory_bandwidth; }
  double attention_seconds(const LayerSpec& layer, Pass pass) const;
  double stream_bytes() const;      // of one [T, H]
  double statistics_bytes() const;  // of the head's softmax statistics, all ranks together

  RankWork work_;
  EffectiveSpeed device_;
  GroupNetwork tensor_;
  std::vector<std::size_t> kind_;                // by unit: which entry of `kinds_`
  std::vector<std::vector<PassSeconds>> kinds_;  // [kind][recompute]: units with equal specs cost the same
};

}  // namespace headwater
