#include "headwater/plan/cost/cluster.h"

#include "headwater/base/bytes.h"
#include "headwater/base/error.h"
#include "headwater/config/json_text.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace headwater {
namespace {

using nlohmann::json;

// One object of the file, and how errors name it: "FILE: device".
struct Section {
  const json& object;
  std::string name;

  std::string key(const std::string& of) const { return name + (name.ends_with(":") ? " " : ".") + of; }

  const json& at(const std::string& of, const char* expected) const {
    if (!object.contains(of)) throw UserError("{} is missing; it must be {}", key(of), expected);
    return object.at(of);
  }

  Section section(const std::string& of, const char* expected) const {
    const json& inner = at(of, expected);
    if (!inner.is_object()) throw UserError("{} is {}; it must be {}", key(of), inner.dump(), expected);
    return {inner, key(of)};
  }

  // Finite, and between the two.
  double number(const std::string& of, double least, double most, const char* expected) const {
    const json& value = at(of, expected);
    const double number = value.is_number() ? value.get<double>() : std::nan("");
    if (!(number >= least && number <= most))
      throw UserError("{} is {}; it must be {}", key(of), value.dump(), expected);
    return number;
  }

  bool flag(const std::string& of) const {
    if (!object.contains(of)) return false;
    if (!object.at(of).is_boolean())
      throw UserError("{} is {}; it must be true or false", key(of), object.at(of).dump());
    return object.at(of).get<bool>();
  }

  std::int64_t whole(const std::string& of, double least, double most, const char* expected) const {
    const double value = number(of, least, most, expected);
    if (value != std::floor(value))
      throw UserError("{} is {}; it must be {}", key(of), object.at(of).dump(), expected);
    return static_cast<std::int64_t>(value);
  }
};

std::map<std::string, double> by_dtype(const Section& device, const std::string& of, double least,
                                       double most, const char* expected) {
  const Section section = device.section(of, "an object of numbers by dtype, such as {\"bf16\": …}");
  std::map<std::string, double> values;
  for (const auto& item : section.object.items())
    values[item.key()] = section.number(item.key(), least, most, expected);
  if (values.empty()) throw UserError("{} is empty; it must name a dtype, bf16 or fp32", section.name);
  return values;
}

Device::Kind kind_of(const Section& device) {
  if (!device.object.contains("kind")) return Device::Kind::cuda;
  const json& kind = device.object.at("kind");
  if (kind != "cpu" && kind != "cuda")
    throw UserError("{} is {}; it must be \"cuda\" or \"cpu\"", device.key("kind"), kind.dump());
  return kind == "cpu" ? Device::Kind::cpu : Device::Kind::cuda;
}

SoftwareFigures software(const Section& file) {
  SoftwareFigures figures;
  if (!file.object.contains("software")) return figures;
  const Section section = file.section(
      "software", "an object with whole_scores, whole_recompute, split_messages or launch_seconds");
  figures.whole_scores = section.flag("whole_scores");
  figures.whole_recompute = section.flag("whole_recompute");
  figures.split_messages = section.flag("split_messages");
  if (section.object.contains("launch_seconds"))
    figures.launch_seconds = section.number("launch_seconds", 0.0, 10.0, "seconds, 0 to 10");
  return figures;
}

LinkFigures link(const Section& file, const std::string& of, bool needed, const char* why) {
  if (!file.object.contains(of)) {
    if (needed)
      throw UserError("{} is missing; {}, so it must give bandwidth and latency_seconds", file.key(of), why);
    return {};
  }
  const Section section = file.section(of, "an object with bandwidth and latency_seconds");
  return {section.number("bandwidth", 1.0, 1e15, "bytes per second of one device in one direction, above 0"),
          section.number("latency_seconds", 0.0, 10.0, "seconds, 0 to 10")};
}

double of_dtype(const std::map<std::string, double>& values, const Cluster& cluster, const char* what,
                const std::string& dtype) {
  const auto found = values.find(dtype);
  if (found != values.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [name, value] : values) known.push_back(name);
  throw UserError("cluster {}: device.{} says nothing of {}, the run's training.dtype; it has {}",
                  cluster.name, what, dtype, fmt::join(known, ", "));
}

}  // namespace

double Cluster::peak_flops(const std::string& dtype) const {
  return of_dtype(device.peak_flops, *this, "peak_flops", dtype);
}

double Cluster::product_flops(const std::string& dtype) const {
  return peak_flops(dtype) * of_dtype(device.efficiency, *this, "efficiency", dtype);
}

Cluster read_cluster(const Path& file) {
  const MappedFile map(file);
  return parse_cluster(parse_json_text(std::string(as_text(map.bytes())), file.string()), file.string());
}

Cluster parse_cluster(const json& root, const std::string& where) {
  if (!root.is_object())
    throw UserError("{}: a cluster file must hold one object; found {}", where, root.dump());
  const Section file{root, where + ":"};
  Cluster cluster;
  const json& name = file.at("name", "a text");
  if (!name.is_string()) throw UserError("{} is {}; it must be a text", file.key("name"), name.dump());
  cluster.name = name.get<std::string>();
  cluster.nodes = static_cast<int>(file.whole("nodes", 1, 1e6, "a whole number, 1 to 1000000"));
  cluster.devices_per_node =
      static_cast<int>(file.whole("devices_per_node", 1, 1024, "a whole number, 1 to 1024"));

  const Section device =
      file.section("device", "an object with memory_bytes, memory_bandwidth, peak_flops and efficiency");
  cluster.device.kind = kind_of(device);
  cluster.device.memory_bytes =
      device.whole("memory_bytes", 1 << 20, 1e15, "a whole number of bytes, 1048576 (1 MiB) to 1e15");
  cluster.device.memory_bandwidth =
      device.number("memory_bandwidth", 1e6, 1e16, "bytes per second, 1e6 to 1e16");
  cluster.device.peak_flops = by_dtype(device, "peak_flops", 1e6, 1e18, "FLOP/s of one device, 1e6 to 1e18");
  cluster.device.efficiency =
      by_dtype(device, "efficiency", 1e-4, 1.0, "the share of peak_flops that is achieved, 0.0001 to 1");

  cluster.intra_node =
      link(file, "intra_node", cluster.devices_per_node > 1, "devices of one node talk to each other");
  cluster.inter_node = link(file, "inter_node", cluster.nodes > 1, "nodes talk to each other");
  if (root.contains("network_ports"))
    cluster.network_ports =
        static_cast<int>(file.whole("network_ports", 1, 1024, "a whole number, 1 to 1024"));
  cluster.software = software(file);
  return cluster;
}

json to_json(const Cluster& cluster) {
  json root = {{"name", cluster.name},
               {"nodes", cluster.nodes},
               {"devices_per_node", cluster.devices_per_node},
               {"device",
                {{"kind", cluster.device.kind == Device::Kind::cpu ? "cpu" : "cuda"},
                 {"memory_bytes", cluster.device.memory_bytes},
                 {"memory_bandwidth", cluster.device.memory_bandwidth},
                 {"peak_flops", cluster.device.peak_flops},
                 {"efficiency", cluster.device.efficiency}}}};
  const auto add = [&](const char* key, const LinkFigures& figures) {
    if (std::isfinite(figures.bandwidth))
      root[key] = {{"bandwidth", figures.bandwidth}, {"latency_seconds", figures.latency_seconds}};
  };
  if (cluster.network_ports > 0) root["network_ports"] = cluster.network_ports;
  if (const SoftwareFigures& s = cluster.software; s != SoftwareFigures{})
    root["software"] = {{"whole_scores", s.whole_scores},
                        {"whole_recompute", s.whole_recompute},
                        {"split_messages", s.split_messages},
                        {"launch_seconds", s.launch_seconds}};
  add("intra_node", cluster.intra_node);
  add("inter_node", cluster.inter_node);
  return root;
}

Cluster equal_devices(int devices) {
  Cluster cluster;
  cluster.name = fmt::format("{} equal devices with free links", devices);
  cluster.devices_per_node = devices;
  for (const char* dtype : {"bf16", "fp32"}) {
    cluster.device.peak_flops[dtype] = 1e12;  // only ratios matter
    cluster.device.efficiency[dtype] = 1.0;
  }
  return cluster;
}

void check_ranks(const Cluster& cluster, int ranks) {
  if (ranks <= cluster.devices()) return;
  throw UserError("cluster {} has {} devices ({} nodes x {} devices_per_node); {} ranks need {} nodes",
                  cluster.name, cluster.devices(), cluster.nodes, cluster.devices_per_node, ranks,
                  (ranks + cluster.devices_per_node - 1) / cluster.devices_per_node);
}

}  // namespace headwater
