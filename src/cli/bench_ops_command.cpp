#include "headwater/base/error.h"
#include "headwater/bench/bench_ops.h"

#include "bench_config.h"
#include "commands.h"
#include "config_without_data.h"

#include <nlohmann/json.hpp>

#include <ostream>

namespace headwater {
namespace {

struct BenchOpsOptions {
  std::string config, cluster;
  int runs = 7;
  bool floors = false, json = false;
};

nlohmann::json to_json(const DeviceSpeed& speed) {
  return {{"matmul_flops", speed.matmul_flops}, {"memory_bandwidth", speed.memory_bandwidth}};
}

nlohmann::json to_json(const OpsBenchmark& b) {
  nlohmann::json ops = nlohmann::json::array();
  for (const OpBenchmark& op : b.ops) {
    ops.push_back({{"op", op.op},
                   {"what", op.what},
                   {"shape", op.shape},
                   {"calls", op.calls},
                   {"flops", op.flops},
                   {"bytes", op.bytes},
                   {"floor_seconds", op.floor_seconds}});
    if (op.seconds) ops.back()["seconds"] = *op.seconds;
  }
  nlohmann::json root = {{"dtype", b.dtype},
                         {"sizes",
                          {{"samples", b.batch.samples},
                           {"sequence", b.batch.sequence},
                           {"hidden", b.layer.hidden},
                           {"heads", b.layer.heads},
                           {"kv_heads", b.layer.kv_heads},
                           {"head_dim", b.layer.head_dim},
                           {"ffn", b.layer.ffn},
                           {"vocabulary", b.vocabulary}}},
                         {"floor", to_json(b.floor)},
                         {"floor_source", b.floor_source},
                         {"ops", ops}};
  if (b.measured) {
    root["device"] = b.device;
    root["measured"] = to_json(*b.measured);
  }
  return root;
}

void print_table(const OpsBenchmark& b, std::ostream& out) {
  const bool timed = b.measured.has_value();
  out << fmt::format("{:<24}{:<14}{:>9}{:>10}{:>12}", "op", "", "GFLOP", "MB", "floor, us");
  if (timed) out << fmt::format("{:>12}{:>9}", "us", "share");
  out << "  shape\n";
  for (const OpBenchmark& op : b.ops) {
    out << fmt::format("{:<24}{:<14}{:>9.4g}{:>10.4g}{:>12.2f}", op.op, op.what, op.flops / 1e9,
                       op.bytes / 1e6, op.floor_seconds * 1e6);
    if (op.seconds)
      out << fmt::format("{:>12.2f}{:>7.1f} %", *op.seconds * 1e6, 100.0 * op.floor_seconds / *op.seconds);
    out << "  " << op.shape << "\n";
  }
  out << fmt::format(
      "\nfloor = max(FLOPs of its products / {:.4g} FLOP/s, least bytes moved / {:.4g} bytes/s): {}, {}\n",
      b.floor.matmul_flops, b.floor.memory_bandwidth, b.floor_source, b.dtype);
  if (!timed) return;
  out << "share = floor / time of a call, which is a median; calls follow one another on operands that no "
         "cache holds\n"
      << fmt::format("measured in the same run on {}: matmul {:.4g} FLOP/s, memory {:.4g} bytes/s\n",
                     b.device, b.measured->matmul_flops, b.measured->memory_bandwidth);
}

OpsBenchmark result_of(Session& session, const BenchOpsOptions& options) {
  RunConfig run = bench_config(options.config, session.overrides, 1);
  std::optional<Cluster> cluster;
  if (!options.cluster.empty()) cluster = read_cluster(options.cluster);
  if (!options.floors) return bench_ops(session.world, run, cluster, options.runs);
  if (!cluster) throw UserError("bench ops --floors needs to know the device: --cluster CLUSTER.json");
  run.training.dtype = dtype_on(*cluster, run.training.dtype);
  return op_floors(run, *cluster);
}

int bench_ops_command(Session& session, const BenchOpsOptions& options) {
  session.one_rank_only("bench ops");
  const OpsBenchmark result = result_of(session, options);
  if (options.json)
    *session.out() << to_json(result).dump() << std::endl;
  else
    print_table(result, *session.out());
  session.out()->flush();
  return 0;
}

}  // namespace

void add_bench_ops(Command bench, Session& session) {
  auto options = std::make_shared<BenchOpsOptions>();
  Command ops = bench.command(
      "ops",
      "Time each op of a training step by itself, on a CPU or a GPU, beside the least time that it can take");
  ops.option("CONFIG", &options->config, "config file, as for `bench step`: whole layers on one micro-batch");
  ops.option("--cluster", &options->cluster,
             "floors by this cluster file's device, not by what is measured in the same run");
  ops.flag("--floors", &options->floors,
           "measure nothing: floors by the cluster file, for a device that is not here");
  ops.option("--runs", &options->runs, "measurements of each op").between(1, 1 << 16).shows_default();
  ops.flag("--json", &options->json, "print one JSON object");
  ops.runs([&session, options] { return bench_ops_command(session, *options); });
}

}  // namespace headwater
