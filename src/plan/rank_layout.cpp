#include "headwater/plan/rank_layout.h"

#include "headwater/base/error.h"
#include "headwater/model/op_workspace.h"
#include "headwater/schedule/checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace headwater {
namespace {

std::vector<StageUnits> chunks_of(const StageLayout& stages, const Placement& placement, int pipeline_rank) {
  std::vector<StageUnits> chunks;
  for (int chunk = 0; chunk < placement.chunks(); ++chunk)
    chunks.push_back(stages.stage(placement.stage_of(pipeline_rank, chunk)));
  return chunks;
}

int axis_size(std::int64_t size) { return static_cast<int>(size); }

ProcessGrid grid_of(const RankLayoutRequest& r, int ranks) {
  return ProcessGrid::make(ranks, axis_size(r.parallel.tensor_model_parallel_size), 1,
                           axis_size(r.parallel.pipeline_model_parallel_size),
                           axis_size(kv_repeat(r.model, sharding_of(r.model, r.parallel, r.batch))));
}

LoweredSchedule proved(const Schedule& schedule) {
  LoweredSchedule lowered = lower(schedule);
  const std::optional<std::string> fault = check(lowered).fault;
  HW_CHECK(!fault, "schedule {}: {}", schedule.name, *fault);
  return lowered;
}

LoweredSchedule evaluation_of(const RankLayoutRequest& request) {
  return proved(forward_only(placement_of(request.parallel), request.micro_batches));
}

// After everything else that can be refused, as it takes a while where ranks are many.
LoweredSchedule step_of(const RankLayoutRequest& request, int ranks) {
  static_cast<void>(grid_of(request, ranks));
  static_cast<void>(StageLayout(request.model, request.parallel));
  if (!request.training) return evaluation_of(request);
  const Placement placement = placement_of(request.parallel);
  return proved(make_schedule(request.parallel.pipeline_schedule, placement.ranks(), placement.chunks(), request.micro_batches));
}

std::vector<RankProgram::Buffers> most(const std::vector<RankProgram::Buffers>& a,
                                       const std::vector<RankProgram::Buffers>& b) {
  std::vector<RankProgram::Buffers> buffers;
  for (std::size_t i = 0; i < a.size(); ++i)
    buffers.push_back({std::max(a[i].send_activation, b[i].send_activation), std::max(a[i].send_gradient, b[i].send_gradient),
                       std::max(a[i].receive_activation, b[i].receive_activation),
                       std::max(a[i].receive_gradient, b[i].receive_gradient)});
  return buffers;
}

SlotCounts slots_of(const RankProgram& program, const Placement& placement, std::size_t chunk) {
  SlotCounts counts{program.slots[chunk], program.weight_slots[chunk], program.delayed_slots[chunk], false};
  for (const Instruction& i : program.instructions)
    if (i.kind == Instruction::Kind::compute && i.action.kind == ActionKind::backward &&
        placement.chunk_of(i.action.stage) == static_cast<int>(chunk))
      counts.whole_backward = true;
  return counts;
}

MemoryRequest memory_of(const RankLayoutRequest& request, const std::vector<StageUnits>& chunks, const RankProgram& program,
                        const Placement& placement, const std::vector<RankProgram::Buffers>& buffers, const Sharding& sharding) {
  MemoryRequest memory;
  for (std::size_t chunk = 0; chunk < chunks.size(); ++chunk) {
    const RankProgram::Buffers& b = buffers[chunk];
    memory.chunks.push_back({chunks[chunk], slots_of(program, placement, chunk),
                             b.send_activation + b.send_gradient + b.receive_activation + b.receive_gradient});
  }
  memory.sharding = sharding;
  memory.batch = request.batch;
  memory.precision = request.precision;
  memory.training = request.training;
  memory.op_workspace = cpu_workspace_bytes(request.model, request.batch, request.precision, request.threads);
  return memory;
}

}  // namespace

RunSchedules::RunSchedules(const RankLayoutRequest& request, int ranks)
    : step(step_of(request, ranks)), evaluation(request.training ? evaluation_of(request) : step) {}

RankLayout::RankLayout(const RankLayoutRequest& r, int this_rank, int ranks)
    : RankLayout(r, this_rank, ranks, std::make_shared<const RunSchedules>(r, ranks)) {}

RankLayout::RankLayout(const RankLayoutRequest& r, int this_rank, int ranks, std::shared_ptr<const RunSchedules> run_schedules)
    : request(r),
      grid(grid_of(r, ranks)),
      placement(run_schedules->step.schedule.placement),
      stages(r.model, r.parallel),
      sharding(sharding_of(r.model, r.parallel, r.batch)),
      rank(this_rank),
      pipeline_rank(grid.coordinate(this_rank, Axis::pipeline)),
      chunks(chunks_of(stages, placement, pipeline_rank)),
      schedules(std::move(run_schedules)),
      schedule(schedules->step),
      evaluation(schedules->evaluation),
      buffers(most(program(schedule).buffers, program(evaluation).buffers)),
      parameters(r.model, chunks, sharding,
                 standing_of(grid, this_rank, r.training && r.parallel.use_distributed_optimizer), r.parallel.ddp_bucket_size),
      memory(memory_of(r, chunks, program(schedule), placement, buffers, sharding)),
      segments(arena_layout(r.model, parameters, memory)) {}

std::int64_t RankLayout::bytes() const {
  std::int64_t sum = 0;
  for (const SegmentSize& segment : segments) sum += segment.bytes;
  return sum;
}

double RankLayout::bytes_per_parameter() const {
  const auto compute = static_cast<double>(size_of(request.precision.compute));
  const auto accumulate = static_cast<double>(size_of(request.precision.accumulate));
  if (!request.training) return compute;
  const double state = (compute == accumulate ? 2.0 : 3.0) * accumulate;
  return compute + accumulate + state * static_cast<double>(parameters.updated_elements()) / static_cast<double>(parameters.elements());
}

std::vector<RankLayout> pipeline_layouts(const RankLayoutRequest& request, int ranks,
                                         std::shared_ptr<const RunSchedules> schedules) {
  std::vector<RankLayout> layouts;
  const int pipeline = axis_size(request.parallel.pipeline_model_parallel_size);
  for (int p = 0; p < pipeline; ++p) layouts.emplace_back(request, p * (ranks / pipeline), ranks, schedules);
  return layouts;
}

std::vector<std::vector<SegmentSize>> segments_of(const std::vector<RankLayout>& layouts) {
  std::vector<std::vector<SegmentSize>> segments;
  for (const RankLayout& layout : layouts) segments.push_back(layout.segments);
  return segments;
}

}  // namespace headwater
