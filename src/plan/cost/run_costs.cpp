#include "headwater/plan/cost/run_costs.h"

#include "headwater/run/sharding_of.h"

namespace headwater {
namespace {

GroupNetwork network(const PlanRequest& request, const RankLayout& layout, AxisSet axes) {
  return {request.cluster, layout.grid.group(layout.rank, axes)};
}

bool sharded(const PlanRequest& request) { return request.layout.parallel.use_distributed_optimizer; }

double bytes_of(const Range& range, DType dtype) {
  return static_cast<double>(range.size()) * static_cast<double>(size_of(dtype));
}

// Bytes of one bucket's data that ranks exchange at the end of a step.
struct BucketBytes {
  double gradients;  // summed over the replicas
  double weights;    // gathered where the optimizer is sharded, else 0
  double tied;       // of the tied embedding, exchanged between first and last stage
};

BucketBytes bytes_of(const PlanRequest& request, const ParameterLayout& parameters, const Bucket& bucket) {
  return {bytes_of(bucket.range, request.layout.precision.accumulate),
          sharded(request) ? bytes_of(bucket.range, request.layout.precision.compute) : 0.0,
          bucket.tied_across_stages ? bytes_of(parameters.shard(bucket), request.layout.precision.accumulate)
                                    : 0.0};
}

}  // namespace

CostModel unit_costs(const PlanRequest& request, const ProcessGrid& grid) {
  const RankLayoutRequest& run = request.layout;
  return {RankWork{run.model, sharding_of(run.model, run.parallel, run.batch), run.batch, run.precision,
                   run.device},
          EffectiveSpeed{request.cluster.product_flops(request.dtype),
                         request.cluster.device.memory_bandwidth, request.cluster.software},
          GroupNetwork(request.cluster, grid.group(0, kTensorAxes))};
}

PipelineNetwork pipeline_network(const PlanRequest& request, const ProcessGrid& grid, double message_bytes) {
  const int ranks = grid.size(Axis::pipeline), each = grid.ranks() / ranks;
  PipelineNetwork network{request.cluster.intra_node, request.cluster.inter_node, {}, message_bytes};
  network.between_nodes.resize(static_cast<std::size_t>(ranks * ranks));
  for (int from = 0; from < ranks; ++from)
    for (int to = 0; to < ranks; ++to)
      for (int i = 0; i < each && !network.crosses(from, to, ranks); ++i)
        network.between_nodes[static_cast<std::size_t>(from * ranks + to)] =
            request.cluster.between_nodes(from * each + i, to * each + i);
  return network;
}

EndOfStep end_of_step(const PlanRequest& request, const ProcessGrid& grid, int rank,
                      const ParameterLayout& parameters, const CostModel& costs) {
  EndOfStep end;
  const std::vector<int> stages = grid.group(rank, {Axis::pipeline});
  for (const Bucket& bucket : parameters.buckets()) {
    const BucketBytes bytes = bytes_of(request, parameters, bucket);
    const GroupNetwork group(request.cluster, grid.group(rank, bucket.reduced_over));
    end.reduce += (sharded(request) ? 1.0 : 2.0) * group.scatter_seconds(bytes.gradients);
    if (sharded(request)) end.gather += group.scatter_seconds(bytes.weights);
    if (bucket.tied_across_stages)
      end.tied += GroupNetwork(request.cluster, {stages.front(), stages.back()}).exchange_seconds(bytes.tied);
  }
  end.update = costs.optimizer_seconds(static_cast<double>(parameters.updated_elements()));
  return end;
}

EndOfStep end_of_step(const PlanRequest& request, const RankLayout& layout, const CostModel& costs) {
  EndOfStep end = end_of_step(request, layout.grid, layout.rank, layout.parameters, costs);
  end.norm = 2.0 * network(request, layout, kAllAxes).all_reduce_seconds(sizeof(double));  // and the loss
  return end;
}

StepCosts step_costs(const PlanRequest& request, const std::vector<RankLayout>& layouts,
                     const CostModel& costs) {
  const StageLayout& stages = layouts.front().stages;
  StepCosts step;
  for (int s = 0; s < stages.stages(); ++s) step.stages.push_back(costs.stage(stages.stage(s)));
  step.network = pipeline_network(request, layouts.front().grid, costs.message_bytes());
  for (const RankLayout& layout : layouts) step.ends.push_back(end_of_step(request, layout, costs));
  return step;
}

SentBytes sent_beside_pipeline(const PlanRequest& request, const RankLayout& layout, const CostModel& costs) {
  SentBytes sent;
  for (const StageUnits& units : layout.chunks)
    for (int u = units.first; u < units.last; ++u)
      sent.tensor += costs.tensor_bytes(u, units.recompute_of(u)) * request.layout.micro_batches;
  for (const Bucket& bucket : layout.parameters.buckets()) {
    const BucketBytes bytes = bytes_of(request, layout.parameters, bucket);
    const GroupNetwork group = network(request, layout, bucket.reduced_over);
    sent.data += (sharded(request) ? 1.0 : 2.0) * group.scatter_bytes(bytes.gradients) +
                 group.scatter_bytes(bytes.weights);
    sent.data += bytes.tied;
  }
  return sent;
}

}  // namespace headwater
