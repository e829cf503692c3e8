#include "headwater/run/run_schedules.h"

#include "headwater/base/error.h"
#include "headwater/run/sharding_of.h"
#include "headwater/schedule/checker.h"

#include <algorithm>
#include <optional>

namespace headwater {
namespace {

LoweredSchedule proved(const Schedule& schedule, bool keeps_gradients) {
  LoweredSchedule lowered = lower(schedule, keeps_gradients);
  const std::optional<std::string> fault = check(lowered).fault;
  HW_CHECK(!fault, "schedule {}: {}", schedule.name, *fault);
  return lowered;
}

LoweredSchedule evaluation_of(const RankLayoutRequest& request) {
  return proved(forward_only(placement_of(request.parallel), request.micro_batches), false);
}

// One answer for all stages, whatever their layers, so that layouts can share the schedules. A first stage
// without layers could free its gradients sooner; that would save it one buffer.
bool keeps_gradients(const RankLayoutRequest& request) {
  MemoryRequest memory;
  memory.sharding = sharding_of(request.model, request.parallel, request.batch);
  memory.batch = request.batch;
  memory.precision = request.precision;
  memory.device = request.device;
  return weight_gradients_read_stream(request.model, memory);
}

LoweredSchedule training_step_of(const RankLayoutRequest& request, int micro_batches) {
  const Placement placement = placement_of(request.parallel);
  return proved(
      make_schedule(request.parallel.pipeline_schedule, placement.ranks(), placement.chunks(), micro_batches),
      keeps_gradients(request));
}

// Refuses what can be refused before it lowers the schedule, which takes a while where ranks are many.
LoweredSchedule step_of(const RankLayoutRequest& request, int ranks) {
  static_cast<void>(process_grid(request, ranks));
  static_cast<void>(StageLayout(request.model, request.parallel));
  return request.training ? training_step_of(request, request.micro_batches) : evaluation_of(request);
}

// The programs of one pipeline rank: the full step's, then that of each smaller step.
std::vector<const RankProgram*> steps_of(const RunSchedules& schedules, int pipeline_rank) {
  const auto rank = static_cast<std::size_t>(pipeline_rank);
  std::vector<const RankProgram*> programs{&schedules.step.ranks[rank]};
  for (const LoweredSchedule& smaller : schedules.ramp) programs.push_back(&smaller.ranks[rank]);
  return programs;
}

void raise(int& value, int other) { value = std::max(value, other); }

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
  const Placement& placement = step.source.placement;
  SlotCounts counts{0, 0, 0, false};
  for (const RankProgram* program : steps_of(*this, pipeline_rank)) {
    const auto c = static_cast<std::size_t>(chunk);
    raise(counts.slots, program->slots[c]);
    raise(counts.weight_slots, program->weight_slots[c]);
    raise(counts.delayed_slots, program->delayed_slots[c]);
    for (const Instruction& i : program->instructions)
      if (i.kind == Instruction::Kind::compute && i.action.kind == ActionKind::backward &&
          placement.chunk_of(i.action.stage) == chunk)
        counts.whole_backward = true;
  }
  return counts;
}

RankProgram::Buffers RunSchedules::buffers(int pipeline_rank, int chunk) const {
  std::vector<const RankProgram*> programs = steps_of(*this, pipeline_rank);
  programs.push_back(&evaluation.ranks[static_cast<std::size_t>(pipeline_rank)]);
  RankProgram::Buffers most;
  for (const RankProgram* program : programs) {
    const RankProgram::Buffers& needed = program->buffers[static_cast<std::size_t>(chunk)];
    raise(most.send_activation, needed.send_activation);
    raise(most.send_gradient, needed.send_gradient);
    raise(most.receive_activation, needed.receive_activation);
    raise(most.receive_gradient, needed.receive_gradient);
  }
  return most;
}

}  // namespace headwater
