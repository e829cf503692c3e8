#include "headwater/plan/rank_layout.h"

#include "headwater/backend/step_scalar.h"
#include "headwater/base/error.h"
#include "headwater/nn/model_units.h"
#include "headwater/nn/unit_record.h"
#include "headwater/schedule/checker.h"
#include "headwater/tensor/arena.h"

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

LoweredSchedule proved(const Schedule& schedule) {
  LoweredSchedule lowered = lower(schedule);
  const std::optional<std::string> fault = check(lowered).fault;
  HW_CHECK(!fault, "schedule {}: {}", schedule.name, *fault);
  return lowered;
}

LoweredSchedule evaluation_of(const RankLayoutRequest& request) {
  return proved(forward_only(placement_of(request.parallel), request.micro_batches));
}

LoweredSchedule training_step_of(const RankLayoutRequest& request, int micro_batches) {
  const Placement placement = placement_of(request.parallel);
  return proved(make_schedule(request.parallel.pipeline_schedule, placement.ranks(), placement.chunks(),
                              micro_batches));
}

// After everything else that can be refused, as it takes a while where ranks are many.
LoweredSchedule step_of(const RankLayoutRequest& request, int ranks) {
  static_cast<void>(process_grid(request, ranks));
  static_cast<void>(StageLayout(request.model, request.parallel));
  return request.training ? training_step_of(request, request.micro_batches) : evaluation_of(request);
}

// One rank's programs of the steps of each size.
std::vector<const RankProgram*> steps_of(const RunSchedules& schedules, int pipeline_rank) {
  const auto rank = static_cast<std::size_t>(pipeline_rank);
  std::vector<const RankProgram*> programs{&schedules.step.ranks[rank]};
  for (const LoweredSchedule& smaller : schedules.ramp) programs.push_back(&smaller.ranks[rank]);
  return programs;
}

void raise(int& value, int other) { value = std::max(value, other); }

// Per chunk, enough for each of the programs.
std::vector<RankProgram::Buffers> most_buffers(std::vector<const RankProgram*> programs) {
  std::vector<RankProgram::Buffers> most(programs.front()->buffers.size());
  for (const RankProgram* program : programs)
    for (std::size_t chunk = 0; chunk < most.size(); ++chunk) {
      const RankProgram::Buffers& needed = program->buffers[chunk];
      raise(most[chunk].send_activation, needed.send_activation);
      raise(most[chunk].send_gradient, needed.send_gradient);
      raise(most[chunk].receive_activation, needed.receive_activation);
      raise(most[chunk].receive_gradient, needed.receive_gradient);
    }
  return most;
}

std::vector<RankProgram::Buffers> buffers_of(const RunSchedules& schedules, int pipeline_rank) {
  std::vector<const RankProgram*> programs = steps_of(schedules, pipeline_rank);
  programs.push_back(&schedules.evaluation.ranks[static_cast<std::size_t>(pipeline_rank)]);
  return most_buffers(std::move(programs));
}

SlotCounts slots_of(const std::vector<const RankProgram*>& steps, const Placement& placement,
                    std::size_t chunk) {
  SlotCounts counts{0, 0, 0, false};
  for (const RankProgram* step : steps) {
    raise(counts.slots, step->slots[chunk]);
    raise(counts.weight_slots, step->weight_slots[chunk]);
    raise(counts.delayed_slots, step->delayed_slots[chunk]);
    for (const Instruction& i : step->instructions)
      if (i.kind == Instruction::Kind::compute && i.action.kind == ActionKind::backward &&
          placement.chunk_of(i.action.stage) == static_cast<int>(chunk))
        counts.whole_backward = true;
  }
  return counts;
}

MemoryRequest memory_of(const RankLayoutRequest& request, const std::vector<StageUnits>& chunks,
                        const std::vector<const RankProgram*>& steps, const Placement& placement,
                        const std::vector<RankProgram::Buffers>& buffers, const Sharding& sharding) {
  MemoryRequest memory;
  for (std::size_t chunk = 0; chunk < chunks.size(); ++chunk) {
    const RankProgram::Buffers& b = buffers[chunk];
    memory.chunks.push_back(
        {chunks[chunk], slots_of(steps, placement, chunk),
         b.send_activation + b.send_gradient + b.receive_activation + b.receive_gradient});
  }
  memory.sharding = sharding;
  memory.batch = request.batch;
  memory.precision = request.precision;
  memory.training = request.training;
  memory.device = request.device;
  memory.op_workspace = op_workspace_bytes(memory.site(request.model, 0), request.training, request.threads);
  return memory;
}

}  // namespace

RunSchedules::RunSchedules(const RankLayoutRequest& request, int ranks)
    : step(step_of(request, ranks)), evaluation(request.training ? evaluation_of(request) : step) {
  for (const int micro_batches : request.ramp) ramp.push_back(training_step_of(request, micro_batches));
}

const LoweredSchedule& RunSchedules::of(std::int64_t micro_batches) const {
  if (step.source.micro_batches == micro_batches) return step;
  const auto smaller =
      std::ranges::find(ramp, micro_batches, [](const LoweredSchedule& s) { return s.source.micro_batches; });
  HW_CHECK(smaller != ramp.end(), "no schedule of {} micro-batches", micro_batches);
  return *smaller;
}

SlotCounts RunSchedules::slots(int pipeline_rank, int chunk) const {
  return slots_of(steps_of(*this, pipeline_rank), step.source.placement, static_cast<std::size_t>(chunk));
}

RankProgram::Buffers RunSchedules::buffers(int pipeline_rank, int chunk) const {
  return buffers_of(*this, pipeline_rank)[static_cast<std::size_t>(chunk)];
}

ProcessGrid process_grid(const RankLayoutRequest& r, int ranks) {
  return ProcessGrid::make(ranks, axis_size(r.parallel.tensor_model_parallel_size), 1,
                           axis_size(r.parallel.pipeline_model_parallel_size),
                           axis_size(kv_repeat(r.model, sharding_of(r.model, r.parallel, r.batch))));
}

RankLayout::RankLayout(const RankLayoutRequest& r, int this_rank, int ranks)
    : RankLayout(r, this_rank, ranks, std::make_shared<const RunSchedules>(r, ranks)) {}

RankLayout::RankLayout(const RankLayoutRequest& r, int this_rank, int ranks,
                       std::shared_ptr<const RunSchedules> run_schedules)
    : request(r),
      grid(process_grid(r, ranks)),
      placement(run_schedules->step.source.placement),
      stages(r.model, r.parallel),
      sharding(sharding_of(r.model, r.parallel, r.batch)),
      rank(this_rank),
      pipeline_rank(grid.coordinate(this_rank, Axis::pipeline)),
      chunks(chunks_of(stages, placement, pipeline_rank)),
      schedules(std::move(run_schedules)),
      schedule(schedules->step),
      evaluation(schedules->evaluation),
      buffers(buffers_of(*schedules, pipeline_rank)),
      parameters(r.model, chunks, sharding,
                 standing_of(grid, this_rank, r.training && r.parallel.use_distributed_optimizer),
                 r.parallel.ddp_bucket_size),
      memory(memory_of(r, chunks, steps_of(*schedules, pipeline_rank), placement, buffers, sharding)),
      segments(arena_layout(r.model, parameters, memory)) {}

std::int64_t RankLayout::bytes() const {
  std::int64_t sum = 0;
  for (const SegmentSize& segment : segments) sum += segment.bytes;
  return sum;
}

std::int64_t RankLayout::host_bytes() const {
  return static_cast<std::int64_t>(chunks.size()) * request.micro_batches * micro_batch_bytes(request.batch) +
         aligned(kStepScalars * static_cast<std::int64_t>(sizeof(double)));
}

double RankLayout::bytes_per_parameter() const {
  const auto compute = static_cast<double>(size_of(request.precision.compute));
  const auto accumulate = static_cast<double>(size_of(request.precision.accumulate));
  if (!request.training) return compute;
  const double state = (compute == accumulate ? 2.0 : 3.0) * accumulate;
  return compute + accumulate +
         state * static_cast<double>(parameters.updated_elements()) /
             static_cast<double>(parameters.elements());
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
