#pragma once
// A search so small that every way can be gone through beside it: six layers on two nodes of four devices.

#include "headwater/plan/search/search.h"
#include "tests/support/models.h"

#include <algorithm>

namespace headwater::test {

inline Cluster nodes_of_four(std::int64_t memory, double between_nodes) {
  Cluster cluster;
  cluster.name = "two nodes";
  cluster.nodes = 2;
  cluster.devices_per_node = 4;
  cluster.device = {
      Device::Kind::cpu, memory, 1e10, {{"bf16", 1e9}, {"fp32", 1e9}}, {{"bf16", 0.5}, {"fp32", 0.5}}};
  cluster.intra_node = {1e9, 1e-6};
  cluster.inter_node = {between_nodes, 1e-5};
  return cluster;
}

inline SearchRequest small_search(std::int64_t memory, double between_nodes) {
  SearchRequest request;
  request.run.model = small_model({.layers = 6}, 64);
  request.run.training.seq_length = 64;
  request.run.training.global_batch_size = 16;
  request.cluster = nodes_of_four(memory, between_nodes);
  request.ranks = 8;
  return request;
}

// Returns the bytes of the rank that needs most.
inline std::int64_t most_bytes(const Plan& plan) {
  std::int64_t most = 0;
  for (const PipelineRankPlan& rank : plan.ranks) most = std::max(most, rank.memory_bytes);
  return most;
}

}  // namespace headwater::test
