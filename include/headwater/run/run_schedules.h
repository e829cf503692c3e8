#pragma once
// The schedules of a run, lowered and proved: what each rank does in which order. Where many layouts of one
// run are tried, they share one RunSchedules.

#include "headwater/layout/arena_layout.h"
#include "headwater/run/layout_request.h"
#include "headwater/schedule/lowering.h"

#include <cstdint>
#include <vector>

namespace headwater {

struct RunSchedules {
  // UserError where the ranks, or the layers, cannot be shared out so.
  RunSchedules(const RankLayoutRequest& request, int ranks);

  LoweredSchedule step;               // of the full batch; forwards only where the request does not train
  LoweredSchedule evaluation;         // of as many micro-batches, forwards only
  std::vector<LoweredSchedule> ramp;  // of the smaller steps, in the order of request.ramp

  // The step of that many micro-batches, which must be one of the run's.
  const LoweredSchedule& of(std::int64_t micro_batches) const;

  // These say what a chunk of a pipeline rank needs so that every one of these schedules can run: slots of
  // each lifetime, and transfer buffers.
  SlotCounts slots(int pipeline_rank, int chunk) const;
  RankProgram::Buffers buffers(int pipeline_rank, int chunk) const;
};

}  // namespace headwater
