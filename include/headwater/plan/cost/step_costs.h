#pragma once
// The costs of the parts of a training step: plain numbers, from the cost model or from a measurement. The
// simulator makes a step's time of them and does not ask which.

#include "headwater/plan/cost/cluster.h"
#include "headwater/plan/cost/pass_seconds.h"

#include <cstddef>
#include <vector>

namespace headwater {

// The links between pipeline ranks.
struct PipelineNetwork {
  LinkFigures intra_node, inter_node;
  std::vector<bool> between_nodes;  // [from · ranks + to]; empty: all ranks are on one node
  double message_bytes = 0.0;       // of every transfer
  bool crosses(int from, int to, int ranks) const {
    return !between_nodes.empty() && between_nodes[static_cast<std::size_t>(from * ranks + to)];
  }
};

// Seconds that a device of one pipeline rank takes once its part of the schedule is over, in this order.
struct EndOfStep {
  double reduce = 0.0;  // sums its gradients over the replicas
  double tied = 0.0;    // on the first and the last rank: exchanges the tied embedding's gradient
  double norm = 0.0;    // joins the global norm and the loss, once all ranks are there
  double update = 0.0;  // zeroes gradients, takes norms, updates by AdamW
  double gather = 0.0;  // receives the weights that other ranks have updated
};

struct StepCosts {
  std::vector<PassSeconds> stages;  // by virtual stage
  PipelineNetwork network;
  std::vector<EndOfStep> ends;  // by pipeline rank
};

}  // namespace headwater
