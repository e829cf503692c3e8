#include "partition_problem.h"

#include "headwater/base/index.h"
#include "headwater/layout/parameter_bytes.h"
#include "headwater/nn/unit_record.h"
#include "headwater/run/sharding_of.h"
#include "headwater/schedule/slot_lifetime.h"

#include <algorithm>
#include <array>
#include <limits>

namespace headwater {
namespace {

StageSeconds seconds_of(const PassSeconds& pass) {
  return {pass.forward.total(), pass.input_gradient.total(), pass.weight_gradient.total()};
}

class ProblemMaker {
 public:
  ProblemMaker(const PlanRequest& request, const std::vector<StageHolds>& holds)
      : request_(request),
        run_(request.layout),
        model_(run_.model),
        holds_(holds),
        grid_(process_grid(run_, request.ranks)),
        placement_(placement_of(run_.parallel)),
        sharding_(sharding_of(model_, run_.parallel, run_.batch)),
        costs_(unit_costs(request, grid_)),
        position_(shard_position_of(grid_, 0, run_.training && run_.parallel.use_distributed_optimizer)),
        memory_(memory_of({})) {}

  PartitionProblem make() {
    const std::int64_t limit = request_.cluster.device.memory_bytes;
    problem_.capacity = limit > 0 ? limit : std::numeric_limits<std::int64_t>::max() / 2;
    problem_.micro_batches = run_.micro_batches;
    add_stages();
    for (int i = 0; i < static_cast<int>(model_.layers.size()); ++i) add_layer(i + 1);
    problem_.embedding = end({unit(model_.embedding_unit())}, 0);
    add_head();
    add_working();
    add_links();
    return std::move(problem_);
  }

 private:
  StageUnits unit(int u, Recompute recompute = Recompute::none) const {
    StageUnits units;
    units.first = u;
    units.last = u + 1;
    units.has_embedding = u == model_.embedding_unit();
    units.has_head = u == model_.head_unit();
    units.recompute = recompute;
    units.recomputed = recompute == Recompute::none ? 0 : 1;
    return units;
  }

  ParameterLayout parameters(const std::vector<StageUnits>& chunks) const {
    return {model_, chunks, sharding_, position_, run_.parallel.ddp_bucket_size};
  }

  std::int64_t state(const ParameterLayout& parameters) const {
    const ParameterBytes each(run_.precision, run_.training);
    std::int64_t bytes =
        each.of(parameters.elements(), parameters.trained_elements(), parameters.updated_elements());
    for (const Bucket& bucket : parameters.buckets())
      if (bucket.tied_across_stages) bytes += parameters.shard(bucket).size() * each.gradient;
    return bytes;
  }

  SlotBytes kept(int u, Recompute recompute) const {
    return unit_slot_bytes(memory_.site(model_, u), recompute);
  }

  EndOfStep end_of(const ParameterLayout& layout, int pipeline_rank) const {
    const int each = request_.ranks / placement_.ranks();
    return run_.training ? end_of_step(request_, grid_, pipeline_rank * each, layout, costs_) : EndOfStep{};
  }

  void add_stages() {
    std::vector<std::vector<EndSeconds>> ends(as_index(placement_.ranks()));  // by rank, by layer
    for (int u = 1; u < model_.head_unit(); ++u) {
      if (const int alike = model_.first_alike(u); alike != u) {
        for (std::vector<EndSeconds>& layers : ends)
          layers.push_back(EndSeconds(layers[as_index(alike - 1)]));
        continue;
      }
      const ParameterLayout layer = parameters({unit(u)});
      for (int rank = 0; rank < placement_.ranks(); ++rank) {
        const EndOfStep end = end_of(layer, rank);
        ends[as_index(rank)].push_back({end.reduce, end.update + end.gather});
      }
    }
    const std::int64_t stream = stream_bytes();
    for (int s = 0; s < placement_.stages(); ++s) {
      const StageHolds& holds = holds_[as_index(s)];
      problem_.needs.push_back(
          {holds.slots,
           holds.slots.slots * micro_batch_bytes(batch_arrays(s), run_.batch) + holds.buffers * stream,
           ends[as_index(placement_.rank_of(s))]});
    }
    problem_.rank_fixed = (run_.training ? 2 * stream : 0) +
                          op_workspace_bytes(memory_.site(model_, 0), run_.training, run_.threads) +
                          constant_bytes();
  }

  // Returns the arrays of a micro-batch that a stage reads, as if it had layers of every kind.
  std::set<BatchArray> batch_arrays(int stage) const {
    StageUnits units;
    units.first = stage == 0 ? model_.embedding_unit() : 1;
    units.last = stage + 1 == placement_.stages() ? model_.units() : model_.head_unit();
    return headwater::batch_arrays(model_, units);
  }

  std::int64_t stream_bytes() const {
    return sharding_.local_tokens(run_.batch.tokens()) * model_.hidden *
           static_cast<std::int64_t>(size_of(run_.precision.compute));
  }

  // Returns the bytes of the constants of all layers, which a rank may hold any of.
  std::int64_t constant_bytes() const {
    ChunkNeeds all;
    all.units.first = 1;
    all.units.last = model_.head_unit();
    std::int64_t bytes = 0;
    for (const ConstantSpec& spec : unit_constants(model_, memory_of({all})))
      bytes += spec.shape.elements() * static_cast<std::int64_t>(size_of(spec.dtype));
    return bytes;
  }

  MemoryRequest memory_of(std::vector<ChunkNeeds> chunks) const {
    MemoryRequest memory;
    memory.chunks = std::move(chunks);
    memory.sharding = sharding_;
    memory.batch = run_.batch;
    memory.precision = run_.precision;
    memory.training = run_.training;
    memory.device = run_.device;
    return memory;
  }

  void add_layer(int u) {
    if (const int alike = model_.first_alike(u); alike != u) {
      problem_.layers.push_back(LayerCost(problem_.layers[as_index(alike - 1)]));
      return;
    }
    const PassSeconds none = costs_.unit(u, Recompute::none);
    const auto again = [&](Recompute recompute) {
      return costs_.unit(u, recompute).input_gradient.total() - none.input_gradient.total();
    };
    problem_.layers.push_back({seconds_of(none), again(Recompute::selective), again(Recompute::full),
                               kept(u, Recompute::none), kept(u, Recompute::selective),
                               kept(u, Recompute::full), state(parameters({unit(u)}))});
  }

  EndCost end(const std::vector<StageUnits>& chunks, int pipeline_rank) const {
    const ParameterLayout layout = parameters(chunks);
    const EndOfStep end = end_of(layout, pipeline_rank);
    const StageUnits& own = chunks.back();
    return {seconds_of(costs_.unit(own.first, Recompute::none)),
            kept(own.first, Recompute::none),
            state(layout),
            working(own),
            end.reduce,
            end.update + end.gather};
  }

  // A rank that has both the first and the last stage holds a tied weight once.
  void add_head() {
    const StageUnits head = unit(model_.head_unit());
    const int rank = placement_.rank_of(placement_.stages() - 1);
    problem_.head = end({head}, rank);
    if (rank != 0 || !model_.tied) return;
    const EndCost both = end({unit(model_.embedding_unit()), head}, rank);
    problem_.head.state = both.state - problem_.embedding.state;
    problem_.head.reduce = both.reduce - problem_.embedding.reduce;
    problem_.head.update = both.update - problem_.embedding.update;
  }

  // Returns the bytes of scratch that a unit needs for the passes that the schedule has.
  std::int64_t working(const StageUnits& units) const {
    ChunkNeeds chunk;
    chunk.units = units;
    chunk.slots.whole_backward = false;
    for (const StageHolds& holds : holds_) {
      chunk.slots.whole_backward |= holds.slots.whole_backward;
      chunk.slots.delayed_slots = std::max(chunk.slots.delayed_slots, holds.slots.delayed_slots);
    }
    return scratch_bytes(model_, memory_of({chunk}));
  }

  void add_working() {
    for (const auto& [u, alike] : model_.distinct_units()) {
      if (!model_.is_layer(u)) continue;
      problem_.working = std::max(problem_.working, working(unit(u)));
      problem_.working_selective =
          std::max(problem_.working_selective, working(unit(u, Recompute::selective)));
      problem_.working_full = std::max(problem_.working_full, working(unit(u, Recompute::full)));
    }
    problem_.working_full =
        std::max(problem_.working_full, problem_.working);  // for the stage's other layers
  }

  void add_links() {
    const PipelineNetwork network = pipeline_network(request_, grid_, costs_.message_bytes());
    for (int s = 0; s + 1 < placement_.stages(); ++s) {
      const int from = placement_.rank_of(s), to = placement_.rank_of(s + 1);
      const bool crosses = network.crosses(from, to, placement_.ranks());
      problem_.links.push_back(
          from == to ? 0.0
                     : (crosses ? network.inter_node : network.intra_node).seconds(network.message_bytes));
    }
    const bool free =
        std::all_of(problem_.links.begin(), problem_.links.end(), [](double link) { return link == 0.0; });
    if (free) problem_.links.clear();
  }

  const PlanRequest& request_;
  const RankLayoutRequest& run_;
  const ModelSpec& model_;
  const std::vector<StageHolds>& holds_;
  const ProcessGrid grid_;
  const Placement placement_;
  const Sharding sharding_;
  const CostModel costs_;
  const ShardPosition position_;
  const MemoryRequest memory_;
  PartitionProblem problem_;
};

}  // namespace

std::vector<StageHolds> stage_holds(const RunSchedules& schedules) {
  const Placement& placement = schedules.step.source.placement;
  std::vector<StageHolds> holds;
  for (int s = 0; s < placement.stages(); ++s) {
    const int rank = placement.rank_of(s), chunk = placement.chunk_of(s);
    const RankProgram::Buffers b = schedules.buffers(rank, chunk);
    const SlotCounts slots = schedules.slots(rank, chunk);
    const int inputs = s > 0 ? slots.slots : 0,
              gradients =
                  s + 1 < placement.stages() && schedules.step.keeps_gradients ? slots.delayed_slots : 0;
    holds.push_back({slots, b.send_activation + b.send_gradient + (b.receive_activation - inputs) +
                                (b.receive_gradient - gradients)});
  }
  return holds;
}

std::vector<StageHolds> stage_holds(const Schedule& schedule) {
  constexpr std::array kCounts = {&SlotCounts::slots, &SlotCounts::weight_slots,
                                  &SlotCounts::delayed_slots};  // in the order of kSlotLifetimes
  const Placement& placement = schedule.placement;
  std::vector<StageHolds> holds(as_index(placement.stages()));
  const int double_buffered = std::min(2, schedule.micro_batches);
  for (int s = 0; s < placement.stages(); ++s) {
    StageHolds& held = holds[as_index(s)];
    held.slots = {0, 0, 0, false};
    for (const int neighbour : {s - 1, s + 1})
      if (neighbour >= 0 && neighbour < placement.stages())
        held.buffers += double_buffered + (double_buffered - 1);  // of sends, and received ahead
  }
  for (const std::vector<Action>& actions : schedule.actions) {
    std::vector<SlotCounts> now(holds.size(), {0, 0, 0, false});
    for (const Action& action : actions) {
      SlotCounts &in_use = now[as_index(action.stage)], &most = holds[as_index(action.stage)].slots;
      if (action.kind == ActionKind::backward) most.whole_backward = true;
      for (std::size_t life = 0; life < kSlotLifetimes.size(); ++life) {
        const auto count = kCounts[life];
        if (kSlotLifetimes[life].begins_with(action.kind))
          most.*count = std::max(most.*count, ++(in_use.*count));
        if (kSlotLifetimes[life].ends_with(action.kind, schedule.backward)) --(in_use.*count);
      }
    }
  }
  return holds;
}

PartitionProblem partition_problem(const PlanRequest& request, const std::vector<StageHolds>& holds) {
  return ProblemMaker(request, holds).make();
}

}  // namespace headwater
