#pragma once
// Everything that follows, for one rank, from the config and the number of ranks: where it stands, which
// units it holds, what it does in which order, how much memory it takes. Computed on every rank alike before
// anything is allocated, so that what does not fit is refused at once.

#include "headwater/layout/arena_layout.h"
#include "headwater/layout/process_grid.h"
#include "headwater/schedule/lowering.h"
#include "headwater/tensor/device.h"

#include <memory>
#include <string>

namespace headwater {

struct RankLayoutRequest {
  ModelSpec model;
  ParallelConfig parallel;
  BatchShape batch;       // one micro-batch
  int micro_batches = 1;  // of a step, per replica
  std::vector<int> ramp;  // of the steps before, while the batch grows
  Precision precision;
  bool training = true;
  int threads = 1;
  Device::Kind device = Device::Kind::cpu;
};

// What all ranks of a run do, lowered and proved. Made once where many layouts of one run are made.
struct RunSchedules {
  // UserError where the ranks, or the layers, cannot be shared out so.
  RunSchedules(const RankLayoutRequest& request, int ranks);

  LoweredSchedule step;               // forward only without training
  LoweredSchedule evaluation;         // the same micro-batches, forward only
  std::vector<LoweredSchedule> ramp;  // steps of fewer micro-batches, as the request has them

  const LoweredSchedule& of(std::int64_t micro_batches) const;

  // What a chunk of a pipeline rank needs for all of them: slots of each lifetime, transfer buffers.
  SlotCounts slots(int pipeline_rank, int chunk) const;
  RankProgram::Buffers buffers(int pipeline_rank, int chunk) const;
};

// Where the ranks of such a run stand.
ProcessGrid process_grid(const RankLayoutRequest& request, int ranks);

struct RankLayout {
  RankLayout(const RankLayoutRequest& request, int rank, int ranks);
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
  std::vector<RankProgram::Buffers> buffers;  // per chunk, enough for all
  ParameterLayout parameters;
  MemoryRequest memory;
  std::vector<SegmentSize> segments;

  const RankProgram& program(const LoweredSchedule& of) const {
    return of.ranks[static_cast<std::size_t>(pipeline_rank)];
  }
  std::int64_t bytes() const;
  // what a step copies from the host: micro-batches, for each chunk, and its scalars
  std::int64_t host_bytes() const;
  double bytes_per_parameter() const;  // weight, gradient, and this rank's share of master and moments
};

// parallel.lfa_sharding with `auto` decided: the form whose tensor ranks send less in a step.
std::string resolved_lfa_sharding(const RankLayoutRequest& request);
// How tensor ranks share a layer of this model; UserError where they cannot share it equally. `auto` is
// resolved.
Sharding sharding_of(const ModelSpec& model, const ParallelConfig& parallel, BatchShape batch);

// The layout of the first rank of each pipeline rank.
std::vector<RankLayout> pipeline_layouts(const RankLayoutRequest& request, int ranks,
                                         std::shared_ptr<const RunSchedules> schedules);

// For people: segments and their sizes, of every pipeline rank.
std::string memory_table(const std::vector<std::vector<SegmentSize>>& by_pipeline_rank);
std::vector<std::vector<SegmentSize>> segments_of(const std::vector<RankLayout>& layouts);

}  // namespace headwater
