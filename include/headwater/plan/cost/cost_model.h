#pragma once
// How long each unit of a model takes on a device. Computed from what the unit runs and exchanges
// (nn/unit_record.h) and from the tensors and parameters that it has (nn/unit_description.h); nothing here is
// measured.
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
// Among tensor ranks, every exchange that a unit makes takes the time of its ring over the links between
// them; an all-reduce is a reduce-scatter and an all-gather.

#include "headwater/layout/stage_layout.h"
#include "headwater/model/recompute.h"
#include "headwater/nn/unit_record.h"
#include "headwater/plan/cost/group_network.h"
#include "headwater/plan/cost/pass_seconds.h"

#include <array>
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

// Weights of a unit that one rank holds.
struct HeldWeights {
  double all = 0.0, trained = 0.0;
};

class CostModel {
 public:
  // `tensor` is the network between the ranks that share a layer.
  CostModel(const RankWork& work, const EffectiveSpeed& device, const GroupNetwork& tensor);

  const PassSeconds& unit(int unit, Recompute recompute) const { return cost(unit, recompute).seconds; }
  PassSeconds stage(const StageUnits& units) const;

  // Bytes of a message between two stages, from one device to its counterpart.
  double message_bytes() const;
  // Bytes that a device sends to the ranks that share its layers, for one micro-batch. Where ranks send
  // different amounts, those of the rank that sends most.
  double tensor_bytes(int unit, Recompute recompute) const { return cost(unit, recompute).tensor_bytes; }
  // FLOPs that backward repeats, of all devices that share the unit together.
  double recompute_flops_per_token(int unit, Recompute recompute) const;

  // Seconds that a device takes to zero the gradients of `elements` parameters, to take their norm, and to
  // update the parameters by AdamW.
  double optimizer_seconds(double elements) const;

 private:
  // All that the costs of a unit are computed from.
  struct Unit {
    UnitSite site;
    UnitDescription description;
    HeldWeights weights;
    // Of the rank that the seconds are for, then of others that may send more.
    std::vector<UnitRecord> records;
    const UnitRecord& record() const { return records.front(); }
  };
  struct UnitCost {
    PassSeconds seconds;
    double tensor_bytes = 0.0;
    double recompute_flops = 0.0;  // of one device
  };

  Unit look_at(int unit) const;
  std::array<UnitCost, 3> costs_of(const Unit& unit) const;  // by Recompute
  const UnitCost& cost(int unit, Recompute recompute) const {
    return costs_.at(kind_.at(static_cast<std::size_t>(unit))).at(static_cast<std::size_t>(recompute));
  }
  PassSeconds seconds(const Unit& unit, Recompute recompute) const;
  PassSeconds layer(const Unit& unit, Recompute recompute) const;
  PassSeconds embedding(const Unit& unit) const;
  PassSeconds head(const Unit& unit) const;
  // The part of the forward that selective or full recomputation repeats.
  const PassRecord& again(const UnitRecord& record, Recompute recompute) const;
  double seconds(const std::vector<Exchange>& exchanges) const;
  double sent_bytes(const std::vector<Exchange>& exchanges) const;
  double product_seconds(double flops, double bytes) const;
  double moved_seconds(double bytes) const { return bytes / device_.memory_bandwidth; }
  double attention_seconds(const PassRecord& pass) const;
  double stream_bytes() const;  // of one [T, H]

  RankWork work_;
  EffectiveSpeed device_;
  GroupNetwork tensor_;
  std::vector<std::size_t> kind_;               // by unit: which entry of `costs_`
  std::vector<std::array<UnitCost, 3>> costs_;  // of units that differ; those that are alike cost the same
};

}  // namespace headwater
