#include "headwater/bench/bench_ops.h"

#include "headwater/backend/device_speed.h"
#include "headwater/backend/make_backend.h"
#include "headwater/backend/timed_backend.h"
#include "headwater/config/load_config.h"
#include "headwater/model/uniform_layer.h"
#include "headwater/nn/unit_record.h"
#include "headwater/run/freeze.h"
#include "headwater/tensor/arena.h"
#include "headwater/train/run_setup.h"

#include "model_ops.h"

#include <fmt/format.h>

#include <algorithm>

namespace headwater {
namespace {

// Calls of an op take turns on operands of this many bytes together, so that no cache holds them.
constexpr std::int64_t kColdBytes = std::int64_t{256} << 20;
constexpr std::int64_t kMostSets = 256;

BatchShape batch_of(const RunConfig& run) { return {run.training.micro_batch_size, run.training.seq_length}; }

ModelSpec model_of(const RunConfig& run) {
  if (run.parallel.tensor_model_parallel_size > 1)
    throw UserError(
        "parallel.tensor_model_parallel_size is {}: bench ops takes whole layers, as one rank has them; 1 is "
        "right",
        run.parallel.tensor_model_parallel_size);
  return model_to_train(resolved(run.model, run.training.seq_length), run.training.freeze);
}

// States the sizes, which all layers share whether they are trained or not.
OpsBenchmark about(const RunConfig& run) {
  const ModelSpec model = expand(resolved(run.model, run.training.seq_length));
  OpsBenchmark result;
  result.layer = uniform_layer(model, "bench ops");
  result.vocabulary = model.padded_vocabulary({});
  result.batch = batch_of(run);
  return result;
}

DeviceSpeed speed_of(const Cluster& cluster, const std::string& dtype) {
  return {cluster.peak_flops(dtype), cluster.device.memory_bandwidth};
}

// Returns the op with what it counts, and the bytes that its operands take.
std::pair<OpBenchmark, std::int64_t> counted(const ModelOp& op, const ModelSpec& model, BatchShape batch) {
  Operands operands;
  with_operands(op.op, operands, model, batch);
  return {{name_of(op.op), op.what, op.shape, op.calls, flops_of(op.op), bytes_of(op.op), 0.0, std::nullopt},
          operands.taken()};
}

void set_floors(OpsBenchmark& result, const DeviceSpeed& floor, const std::string& source) {
  result.floor = floor;
  result.floor_source = source;
  for (OpBenchmark& op : result.ops)
    op.floor_seconds =
        OpTotals{1, 0.0, op.flops, op.bytes}.floor_seconds(floor.matmul_flops, floor.memory_bandwidth);
}

// The better of two measurements: a device that others use may be slower for a while, but is never faster.
DeviceSpeed better(const DeviceSpeed& a, const DeviceSpeed& b) {
  return {std::max(a.matmul_flops, b.matmul_flops), std::max(a.memory_bandwidth, b.memory_bandwidth)};
}

double seconds_of(const AnyOp& op, std::int64_t bytes, Operands& operands, const ModelSpec& model,
                  BatchShape batch, Backend& backend, int runs) {
  const std::int64_t sets =
      std::clamp<std::int64_t>(kColdBytes / std::max<std::int64_t>(bytes, 1), 1, kMostSets);
  operands.reset(sets * bytes);
  std::vector<AnyOp> calls;
  for (std::int64_t i = 0; i < sets; ++i) calls.push_back(with_operands(op, operands, model, batch));
  return time_calls(backend, runs, [&](std::int64_t i) {
    headwater::run(backend, calls[static_cast<std::size_t>(i % sets)]);
  });
}

}  // namespace

OpsBenchmark bench_ops(World& world, const RunConfig& run, const std::optional<Cluster>& cluster, int runs) {
  const ModelSpec model = model_of(run);
  OpsBenchmark result = about(run);
  const RunSettings settings = choose_settings(run.training, world);
  const Precision precision = precision_of(settings.dtype);
  std::optional<DeviceSpeed> stated;
  if (cluster) stated = speed_of(*cluster, settings.dtype);
  const std::unique_ptr<Backend> backend = make_backend(settings, world);
  const std::int64_t workspace = op_workspace_bytes(
      {.model = model, .batch = batch_of(run), .precision = precision, .device = settings.device.kind}, true,
      settings.threads);
  Arena arena(settings.device);
  arena.reserve("workspace", workspace);
  backend->use_workspace(arena.take("workspace", DType::i32, {(workspace + 3) / 4}));

  result.device = identity_of(settings.device).name;
  if (settings.device.kind == Device::Kind::cpu)
    result.device += fmt::format(", {} threads", settings.threads);
  result.dtype = settings.dtype;
  const auto measure = [&] {
    return DeviceSpeed{measure_matmul_flops(*backend, precision.compute, settings.threads),
                       measure_memory_bandwidth(*backend, settings.threads)};
  };
  const DeviceSpeed before = measure();
  {
    Operands operands(*backend);
    for (const ModelOp& op : model_ops(model, batch_of(run), precision, settings.device.kind)) {
      const auto [row, bytes] = counted(op, model, batch_of(run));
      result.ops.push_back(row);
      result.ops.back().seconds = seconds_of(op.op, bytes, operands, model, batch_of(run), *backend, runs);
    }
  }
  result.measured = better(before, measure());
  set_floors(result, stated.value_or(*result.measured), cluster ? cluster->name : "measured in the same run");
  return result;
}

OpsBenchmark op_floors(const RunConfig& run, const Cluster& cluster) {
  const ModelSpec model = model_of(run);
  OpsBenchmark result = about(run);
  result.dtype = run.training.dtype;
  for (const ModelOp& op : model_ops(model, batch_of(run), precision_of(result.dtype), cluster.device.kind))
    result.ops.push_back(counted(op, model, batch_of(run)).first);
  set_floors(result, speed_of(cluster, result.dtype), cluster.name);
  return result;
}

}  // namespace headwater
