#pragma once
// The machines of a run, as CLUSTER.json states them (docs/formats/cluster.md): nodes of equal devices, a
// device being what one rank has. Plain data.

#include "headwater/base/file.h"
#include "headwater/tensor/device.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <limits>
#include <map>
#include <string>

namespace headwater {

// Of one device, in one direction. Free unless said.
struct LinkFigures {
  double bandwidth = std::numeric_limits<double>::infinity();  // bytes per second
  double latency_seconds = 0.0;
  double seconds(double bytes) const { return latency_seconds + bytes / bandwidth; }
  bool operator==(const LinkFigures&) const = default;
};

struct DeviceFigures {
  Device::Kind kind = Device::Kind::cuda;  // on which workspaces and the head's blocks depend
  std::int64_t memory_bytes = 0;           // 0: as much as is needed
  double memory_bandwidth = std::numeric_limits<double>::infinity();
  std::map<std::string, double> peak_flops;  // by training.dtype, dense
  std::map<std::string, double> efficiency;  // the share of it that a step's matrix products reach
};

// What runs there where it is not Headwater, as far as its time differs: so that published runs can be
// predicted.
struct SoftwareFigures {
  bool whole_scores = false;     // attention writes every score to memory, also those that the mask drops
  bool whole_recompute = false;  // full recomputation repeats a layer's last product too
  bool split_messages = false;   // tensor ranks share out what they send to another stage
  // of one forward of a layer, where the device waits for its host; a backward takes twice that
  double launch_seconds = 0.0;
  bool operator==(const SoftwareFigures&) const = default;
};

struct Cluster {
  std::string name;
  int nodes = 1, devices_per_node = 1;
  DeviceFigures device;
  LinkFigures intra_node, inter_node;
  int network_ports = 0;  // of a node, which the paper's formulas ask for; 0: one for each device
  SoftwareFigures software;

  int devices() const { return nodes * devices_per_node; }
  // Ranks fill one node after the other.
  int node_of(int rank) const { return rank / devices_per_node; }
  bool between_nodes(int a, int b) const { return node_of(a) != node_of(b); }
  const LinkFigures& link(bool inter) const { return inter ? inter_node : intra_node; }
  // FLOP/s that a device's matrix products reach; UserError where peak or efficiency of that dtype is not
  // given.
  double product_flops(const std::string& dtype) const;
  double peak_flops(const std::string& dtype) const;
};

// UserError, naming file and key, where a value is missing or absurd. A link that no two devices have may be
// left out.
Cluster read_cluster(const Path& file);
Cluster parse_cluster(const nlohmann::json& json, const std::string& where);
nlohmann::json to_json(const Cluster& cluster);

// What is assumed where no cluster file is given: equal devices without a memory limit, free links.
Cluster equal_devices(int devices);

// UserError where `ranks` are more than the devices.
void check_ranks(const Cluster& cluster, int ranks);

}  // namespace headwater
