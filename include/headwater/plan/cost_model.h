#pragma once
// How long each unit of a model takes on a device: from what it runs and exchanges (nn/unit_record.h) and the
// tensors and parameters that it has (nn/unit_description.h). Pure arithmetic; nothing here is measured.
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
// Tensor ranks: every exchange that a unit makes takes the time of its ring over the links between them; an
// all-reduce is a reduce-scatter and an all-gather.

#include "headwater/layout/stage_layout.h"
#include "headwater/model/recompute.h"
#include "headwater/nn/unit_record.h"
#include "headwater/plan/group_network.h"

#include <vector>

namespace headwater {

// Of one micro-batch, on one device.
struct ActionSeconds {
  double compute = 0.0, recompute = 0.0, tensor_communication = 0.0;
  double total() const { return compute + recompute + tensor_communication; }
  ActionSeconds& operator+=(const ActionSeconds& other);
};

// Of a unit or of a whole stage. A whole backward is both gradients; recomputation belongs to the first.
struct PassSeconds {
  ActionSeconds forward, input_gradient, weight_gradient;
  double total() const { return forward.total() + input_gradient.total() + weight_gradient.total(); }
  PassSeconds& operator+=(const PassSeconds& other);
};

// Of a device, as the runs on it reach it.
struct DeviceSpeed {
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
  CostModel(const RankWork& work, const DeviceSpeed& device, const GroupNetwork& tensor);

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
  UnitSite site(int unit) const;
  PassSeconds layer(int unit, double weights, Recompute recompute) const;
  PassSeconds embedding() const;
  PassSeconds head(double weights) const;
  // What full or selective recomputation repeats of the forward.
  const PassRecord& again(const UnitRecord& record, Recompute recompute) const;
  double seconds(const std::vector<Exchange>& exchanges) const;
  double sent_bytes(const std::vector<Exchange>& exchanges) const;
  double product_seconds(double flops, double bytes) const;
  double moved_seconds(double bytes) const { return bytes / device_.memory_bandwidth; }
  double attention_seconds(const PassRecord& pass) const;
  double stream_bytes() const;  // of [T, H]

  RankWork work_;
  DeviceSpeed device_;
  GroupNetwork tensor_;
  std::vector<std::size_t> kind_;                // by unit: which entry of `kinds_`
  std::vector<std::vector<PassSeconds>> kinds_;  // [kind][recompute]: units with equal specs cost the same
};

}  // namespace headwater
