#include "headwater/run/rank_layout.h"

#include "headwater/backend/step_scalar.h"
#include "headwater/layout/parameter_bytes.h"
#include "headwater/nn/unit_record.h"
#include "headwater/run/sharding_of.h"
#include "headwater/tensor/arena.h"

namespace headwater {
namespace {

std::vector<StageUnits> chunks_of(const StageLayout& stages, const Placement& placement, int pipeline_rank) {
  std::vector<StageUnits> chunks;
  for (int chunk = 0; chunk < placement.chunks(); ++chunk)
    chunks.push_back(stages.stage(placement.stage_of(pipeline_rank, chunk)));
  return chunks;
}

std::vector<RankProgram::Buffers> buffers_of(const RunSchedules& schedules, int pipeline_rank, int chunks) {
  std::vector<RankProgram::Buffers> buffers;
  for (int chunk = 0; chunk < chunks; ++chunk) buffers.push_back(schedules.buffers(pipeline_rank, chunk));
  return buffers;
}

MemoryRequest memory_of(const RankLayoutRequest& request, const std::vector<StageUnits>& chunks,
                        const RunSchedules& schedules, int pipeline_rank,
                        const std::vector<RankProgram::Buffers>& buffers, const Sharding& sharding) {
  MemoryRequest memory;
  for (std::size_t chunk = 0; chunk < chunks.size(); ++chunk) {
    const RankProgram::Buffers& b = buffers[chunk];
    memory.chunks.push_back(
        {chunks[chunk], schedules.slots(pipeline_rank, static_cast<int>(chunk)),
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
      buffers(buffers_of(*schedules, pipeline_rank, placement.chunks())),
      parameters(r.model, chunks, sharding,
                 shard_position_of(grid, this_rank, r.training && r.parallel.use_distributed_optimizer),
                 r.parallel.ddp_bucket_size),
      memory(memory_of(r, chunks, *schedules, pipeline_rank, buffers, sharding)),
      segments(arena_layout(r.model, parameters, memory)) {}

std::int64_t RankLayout::bytes() const {
  std::int64_t sum = 0;
  for (const SegmentSize& segment : segments) sum += segment.bytes;
  return sum;
}

std::int64_t RankLayout::host_bytes() const {
  std::int64_t bytes = aligned(kStepScalars * static_cast<std::int64_t>(sizeof(double)));
  for (const StageUnits& units : chunks)
    bytes += request.micro_batches * micro_batch_bytes(batch_arrays(request.model, units), request.batch);
  return bytes;
}

BytesPerParameter RankLayout::bytes_per_parameter() const {
  const ParameterBytes each(request.precision, request.training);
  const auto weight = static_cast<double>(each.weight);
  return {weight + static_cast<double>(each.gradient) +
              static_cast<double>(each.updated()) / static_cast<double>(parameters.shards()),
          weight};
}

std::vector<RankLayout> pipeline_layouts(const RankLayoutRequest& request, int ranks,
                                         std::shared_ptr<const RunSchedules> schedules) {
  std::vector<RankLayout> layouts;
  const auto pipeline = static_cast<int>(request.parallel.pipeline_model_parallel_size);
  for (int p = 0; p < pipeline; ++p) layouts.emplace_back(request, p * (ranks / pipeline), ranks, schedules);
  return layouts;
}

}  // namespace headwater
