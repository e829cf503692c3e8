#pragma once
// How long each unit of a model takes on a device, from the descriptions that the engine runs: FLOPs
// (model/flops.h), bytes (model/activation_spec.h, model/parameter_spec.h). Pure arithmetic; nothing here is
// measured.
//
// Matrix products take FLOPs / (peak × efficiency), or as long as their weights take to be read (in a weight
// gradient: its sum to be read and written). Attention's backward takes five products where its forward takes
// two, as the scores are computed again. What is not a product takes as long as memory needs to move it: each
// tensor that a pass makes moves once beside the products, and a backward moves once more what the forward
// kept for it.
//
// Programs that attend with all scores in memory compute the whole square and move it: what a forward and a
// backward move are the constants of attention_cost.h.
//
// Tensor ranks: forward sums each of a layer's two branches over them, and what comes out of a filter;
// backward sums as often what goes into their products. With sequence parallelism each sum is a
// reduce-scatter, and what the products need is gathered, in backward once more. A filter that is cut by
// tokens is neither summed nor gathered for, and gets the vectors before its shard from the neighbour.

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

// The work of one rank: how a layer is cut, and one micro-batch.
struct RankWork {
  ModelSpec model;
  Sharding sharding;
  BatchShape batch;
  Precision precision;
  Device::Kind device = Device::Kind::cpu;
};

class CostModel {
 public:
  // `tensor` joins the ranks that share a layer.
  CostModel(const RankWork& work, const EffectiveSpeed& device, const GroupNetwork& tensor);

  const PassSeconds& unit(int unit, Recompute recompute) const;
  PassSeconds stage(const StageUnits& units) const;

  // Of what passes between two stages, from one device to its counterpart.
  double message_bytes() const;
  // Sent by a device to the ranks that share its layers, for one micro-batch; by the one that sends most.
  double tensor_bytes(int unit, Recompute recompute) const;
  // of all devices that share the unit
  double recompute_flops_per_token(int unit, Recompute recompute) const;

  // AdamW on so many parameters of this device, gradients zeroed and their norm taken.
  double optimizer_seconds(double elements) const;

 private:
  PassSeconds layer(const LayerSpec& layer, double weights, Recompute recompute) const;
  UnitFlops again(const LayerSpec& layer, Recompute recompute) const;  // per token, of all devices
  PassSeconds embedding() const;
  PassSeconds head(double weights) const;
  // Between the ranks that share a layer, for one micro-batch.
  struct Exchanged {
    double scatters = 0.0;  // reduce-scatters and all-gathers of one [T, H]; an all-reduce counts as both
    int messages = 0;       // to the neighbour, with
    double message_bytes = 0.0;
    Exchanged& operator+=(const Exchanged& other);
  };
  Exchanged exchanged(const LayerSpec& layer, Pass pass) const;
  Exchanged exchanged_again(const LayerSpec& layer) const;  // by full recomputation
  double seconds(const Exchanged& exchanged) const;
  double bytes(const Exchanged& forward, const Exchanged& backward) const;  // of the device that sends most
  double product_seconds(double flops, double bytes) const;
  double moved_seconds(double bytes) const { return bytes / device_.memory_bandwidth; }
  double attention_seconds(const LayerSpec& layer, Pass pass) const;
  double stream_bytes() const;      // of [T, H]
  double statistics_bytes() const;  // of the head's softmax, of all ranks

  RankWork work_;
  EffectiveSpeed device_;
  GroupNetwork tensor_;
  std::vector<std::size_t> kind_;                // by unit: which entry of `kinds_`
  std::vector<std::vector<PassSeconds>> kinds_;  // [kind][recompute]: units with equal specs cost the same
};

}  // namespace headwater
