#pragma once
// Everything that follows, for one rank, from the config and the number of ranks: where it stands, which
// units it holds, what it does in which order, how much memory it takes. Computed on every rank alike before
// anything is allocated, so that what does not fit is refused at once.

#include "headwater/layout/arena_layout.h"
#include "headwater/layout/process_grid.h"
#include "headwater/run/layout_request.h"
#include "headwater/run/run_schedules.h"

#include <memory>
#include <vector>

namespace headwater {

struct RankLayout {
  // `request.parallel.pipeline_layout` must not be "auto". UserError where the layout is impossible.
  RankLayout(const RankLayoutRequest& request, int rank, int ranks);
  // With the schedules of that request, or of one that differs in the layers of its stages only.
  RankLayout(const RankLayoutRequest& request, int rank, int ranks,
             std::shared_ptr<const RunSchedules> schedules);

  RankLayoutRequest request;
  ProcessGrid grid;
  Placement placement;
  StageLayout stages;
  Sharding sharding;
  int rank, pipeline_rank;
  std::vector<StageUnits> chunks;  // of this rank
  std::shared_ptr<const RunSchedules> schedules;
  const LoweredSchedule& schedule;  // of a step with the full batch
  const LoweredSchedule& evaluation;
  std::vector<RankProgram::Buffers> buffers;  // per chunk, enough for every schedule of the run
  ParameterLayout parameters;
  MemoryRequest memory;
  std::vector<SegmentSize> segments;

  const RankProgram& program(const LoweredSchedule& of) const {
    return of.ranks[static_cast<std::size_t>(pipeline_rank)];
  }
  std::int64_t bytes() const;  // of the arena
  // Bytes that a step copies from the host: of each micro-batch what each chunk reads, and the step's
  // scalars.
  std::int64_t host_bytes() const;
  // Bytes of a parameter's weight, gradient, and this rank's share of its master and moments.
  BytesPerParameter bytes_per_parameter() const;
};

// The layout of the first rank of each pipeline rank.
std::vector<RankLayout> pipeline_layouts(const RankLayoutRequest& request, int ranks,
                                         std::shared_ptr<const RunSchedules> schedules);

}  // namespace headwater
