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

// A device's link, in one direction. Without figures it takes no time.
struct LinkFigures {
  double bandwidth = std::numeric_limits<double>::infinity();  // bytes per second
  double latency_seconds = 0.0;
  // Seconds that a message of `bytes` takes.
  double seconds(double bytes) const { return latency_seconds + bytes / bandwidth; }
  bool operator==(const LinkFigures&) const = default;
};

struct DeviceFigures {
  Device::Kind kind = Device::Kind::cuda;  // workspaces and the head's blocks depend on it
  std::int64_t memory_bytes = 0;           // 0: no limit
  double memory_bandwidth = std::numeric_limits<double>::infinity();  // bytes per second
  std::map<std::string, double> peak_flops;  // FLOP/s by training.dtype, without sparsity
  std::map<std::string, double> efficiency;  // the share of it that a step's matrix products reach
};

// How a program that is not Headwater differs in time, so that runs that others have published can be
// predicted.
struct SoftwareFigures {
  bool whole_scores = false;     // attention writes every score to memory, also those that the mask drops
  bool whole_recompute = false;  // full recomputation repeats a layer's last product too
  bool split_messages = false;   // each tensor rank sends its share of a message to the next stage
  // Seconds for which the device waits for its host in a layer's forward; in a backward it waits twice that.
  double launch_seconds = 0.0;
  bool operator==(const SoftwareFigures&) const = default;
};

struct Cluster {
  std::string name;
  int nodes = 1, devices_per_node = 1;
  DeviceFigures device;
  LinkFigures intra_node, inter_node;
  int network_ports = 0;  // of a node, for the paper's formulas; 0: one for each device
  SoftwareFigures software;

  int devices() const { return nodes * devices_per_node; }
  // Ranks fill one node after the other.
  int node_of(int rank) const { return rank / devices_per_node; }
  bool between_nodes(int a, int b) const { return node_of(a) != node_of(b); }
  const LinkFigures& link(bool inter) const { return inter ? inter_node : intra_node; }
  // FLOP/s that a device's matrix products reach in a step, and its peak. UserError where the cluster does
  // not give peak or efficiency of that dtype.
  double product_flops(const std::string& dtype) const;
  double peak_flops(const std::string& dtype) const;
};

// UserError, naming file and key, where a value is missing or absurd. A file may leave out a link that no two
// of its devices have. `where` names the source of `json` in errors.
Cluster read_cluster(const Path& file);
Cluster parse_cluster(const nlohmann::json& json, const std::string& where);
nlohmann::json to_json(const Cluster& cluster);

// Returns what is assumed without a cluster file: one node of equal devices, no memory limit, free links.
Cluster equal_devices(int devices);

// UserError where there are more ranks than devices.
void check_ranks(const Cluster& cluster, int ranks);

}  // namespace headwater
