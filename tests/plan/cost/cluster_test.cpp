#include "headwater/plan/cost/cluster.h"

#include "headwater/base/error.h"
#include "headwater/tensor/device_peak.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace headwater {
namespace {

using nlohmann::json;

json a_cluster() {
  return {{"name", "two nodes"},
          {"nodes", 2},
          {"devices_per_node", 4},
          {"device",
           {{"kind", "cpu"},
            {"memory_bytes", 80000000000},
            {"memory_bandwidth", 2e12},
            {"peak_flops", {{"bf16", 312e12}, {"fp32", 156e12}}},
            {"efficiency", {{"bf16", 0.5}}}}},
          {"intra_node", {{"bandwidth", 3e11}, {"latency_seconds", 2e-6}}},
          {"inter_node", {{"bandwidth", 2.5e10}, {"latency_seconds", 5e-6}}}};
}

std::string refusal(const json& file) {
  try {
    parse_cluster(file, "C.json");
  } catch (const UserError& error) {
    return error.what();
  }
  return "taken";
}

TEST(Cluster, SaysWhatTheFileSays) {
  const Cluster cluster = parse_cluster(a_cluster(), "C.json");
  EXPECT_EQ(cluster.name, "two nodes");
  EXPECT_EQ(cluster.devices(), 8);
  EXPECT_EQ(cluster.device.kind, Device::Kind::cpu);
  EXPECT_EQ(cluster.device.memory_bytes, 80000000000);
  EXPECT_DOUBLE_EQ(cluster.product_flops("bf16"), 156e12);
  EXPECT_DOUBLE_EQ(cluster.peak_flops("fp32"), 156e12);
  EXPECT_FALSE(cluster.between_nodes(0, 3));
  EXPECT_TRUE(cluster.between_nodes(3, 4));
  EXPECT_DOUBLE_EQ(cluster.intra_node.seconds(3e11), 1.0 + 2e-6);
  EXPECT_DOUBLE_EQ(cluster.link(true).bandwidth, 2.5e10);
}

TEST(Cluster, GoesThroughAFileUnchanged) {
  EXPECT_EQ(to_json(parse_cluster(a_cluster(), "C.json")), a_cluster());
}

TEST(Cluster, IsOfGpusUnlessItSaysOtherwise) {
  json file = a_cluster();
  file["device"].erase("kind");
  EXPECT_EQ(parse_cluster(file, "C.json").device.kind, Device::Kind::cuda);
  file["device"]["kind"] = "gpu";
  EXPECT_EQ(refusal(file), "C.json: device.kind is \"gpu\"; it must be \"cuda\" or \"cpu\"");
}

// The files of configs/clusters say of a GPU what MFU is printed by.
TEST(Cluster, FilesHaveTheDataSheetsPeaks) {
  const auto expect = [](const char* file, const char* name, int major) {
    const Cluster cluster = read_cluster(Path(HEADWATER_SOURCE_DIR) / "configs/clusters" / file);
    const cuda::DeviceDescription gpu{name, "", major, 0, 1, 1.0};
    EXPECT_EQ(cluster.peak_flops("bf16"), peak_of_gpu(gpu, DType::bf16).flops) << file;
    EXPECT_EQ(cluster.peak_flops("fp32"), peak_of_gpu(gpu, DType::f32).flops) << file;
  };
  expect("a100-80gb.json", "NVIDIA A100-SXM4-80GB", 8);
  expect("h100-80gb.json", "NVIDIA H100 80GB HBM3", 9);
  expect("h200-141gb.json", "NVIDIA H200", 9);
}

TEST(Cluster, LinksThatNoTwoDevicesHaveMayBeLeftOut) {
  json file = a_cluster();
  file["nodes"] = 1;
  file.erase("inter_node");
  EXPECT_EQ(refusal(file), "taken");
  file["devices_per_node"] = 1;
  file.erase("intra_node");
  EXPECT_EQ(refusal(file), "taken");
}

TEST(Cluster, RefusesWhatIsMissing) {
  for (const char* key : {"name", "nodes", "devices_per_node", "device", "intra_node", "inter_node"}) {
    json file = a_cluster();
    file.erase(key);
    EXPECT_EQ(refusal(file).rfind(std::string("C.json: ") + key + " is missing; ", 0), 0U) << refusal(file);
  }
  for (const char* key : {"memory_bytes", "memory_bandwidth", "peak_flops", "efficiency"}) {
    json file = a_cluster();
    file["device"].erase(key);
    EXPECT_EQ(refusal(file).rfind(std::string("C.json: device.") + key + " is missing; it must be ", 0), 0U)
        << refusal(file);
  }
  json file = a_cluster();
  file["inter_node"].erase("bandwidth");
  EXPECT_EQ(refusal(file),
            "C.json: inter_node.bandwidth is missing; it must be bytes per second of one device in one "
            "direction, above 0");
}

TEST(Cluster, RefusesWhatIsAbsurd) {
  const auto with = [](const char* pointer, const json& value) {
    json file = a_cluster();
    file[json::json_pointer(pointer)] = value;
    return refusal(file);
  };
  EXPECT_EQ(with("/nodes", 0), "C.json: nodes is 0; it must be a whole number, 1 to 1000000");
  EXPECT_EQ(with("/nodes", 1.5), "C.json: nodes is 1.5; it must be a whole number, 1 to 1000000");
  EXPECT_EQ(with("/devices_per_node", "eight"),
            "C.json: devices_per_node is \"eight\"; it must be a whole number, 1 to 1024");
  EXPECT_EQ(with("/device/memory_bytes", 80),
            "C.json: device.memory_bytes is 80; it must be a whole number of bytes, 1048576 (1 MiB) to 1e15");
  EXPECT_EQ(with("/device/efficiency/bf16", 45),
            "C.json: device.efficiency.bf16 is 45; it must be the share of peak_flops that is achieved, "
            "0.0001 to 1");
  EXPECT_EQ(with("/device/peak_flops/bf16", -1),
            "C.json: device.peak_flops.bf16 is -1; it must be FLOP/s of one device, 1e6 to 1e18");
  EXPECT_EQ(with("/device/peak_flops", json::object()),
            "C.json: device.peak_flops is empty; it must name a dtype, bf16 or fp32");
  EXPECT_EQ(with("/intra_node/bandwidth", 0),
            "C.json: intra_node.bandwidth is 0; it must be bytes per second of one device in one direction, "
            "above 0");
  EXPECT_EQ(with("/intra_node/latency_seconds", -1e-6),
            "C.json: intra_node.latency_seconds is -1e-06; it must be seconds, 0 to 10");
  EXPECT_EQ(with("/device", 3),
            "C.json: device is 3; it must be an object with memory_bytes, memory_bandwidth, peak_flops and "
            "efficiency");
  EXPECT_EQ(refusal(json::array()), "C.json: a cluster file must hold one object; found []");
}

TEST(Cluster, SaysWhichSoftwareRunsWhereItIsAnother) {
  json file = a_cluster();
  EXPECT_EQ(parse_cluster(file, "C.json").software, SoftwareFigures{});
  file["software"] = {{"whole_scores", true}, {"launch_seconds", 1e-3}};
  file["network_ports"] = 2;
  const Cluster cluster = parse_cluster(file, "C.json");
  EXPECT_EQ(cluster.software, (SoftwareFigures{true, false, false, 1e-3}));
  EXPECT_EQ(cluster.network_ports, 2);
  EXPECT_EQ(to_json(parse_cluster(to_json(cluster), "C.json")), to_json(cluster));

  file["software"]["whole_scores"] = 1;
  EXPECT_EQ(refusal(file), "C.json: software.whole_scores is 1; it must be true or false");
  file["software"] = {{"launch_seconds", -1}};
  EXPECT_EQ(refusal(file), "C.json: software.launch_seconds is -1; it must be seconds, 0 to 10");
  file["software"] = "Megatron-LM";
  EXPECT_EQ(refusal(file),
            "C.json: software is \"Megatron-LM\"; it must be an object with whole_scores, whole_recompute, "
            "split_messages or launch_seconds");
  file.erase("software");
  file["network_ports"] = 0;
  EXPECT_EQ(refusal(file), "C.json: network_ports is 0; it must be a whole number, 1 to 1024");
}

TEST(Cluster, RefusesADtypeThatItSaysNothingOf) {
  const Cluster cluster = parse_cluster(a_cluster(), "C.json");
  try {
    cluster.product_flops("fp32");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(
        error.what(),
        "cluster two nodes: device.efficiency says nothing of fp32, the run's training.dtype; it has bf16");
  }
}

TEST(Cluster, RefusesMoreRanksThanDevices) {
  const Cluster cluster = parse_cluster(a_cluster(), "C.json");
  EXPECT_NO_THROW(check_ranks(cluster, 8));
  try {
    check_ranks(cluster, 9);
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "cluster two nodes has 8 devices (2 nodes x 4 devices_per_node); 9 ranks need 3 nodes");
  }
}

}  // namespace
}  // namespace headwater
