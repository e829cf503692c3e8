#include "shortage.h"

#include "headwater/base/error.h"
#include "headwater/run/sharding_of.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace headwater {
namespace {

std::string stages_of(const Plan& plan, int rank) {
  std::vector<int> stages;
  for (const StagePlan& stage : plan.stages)
    if (stage.pipeline_rank == rank) stages.push_back(stage.stage);
  return fmt::format("stage{} {}", stages.size() == 1 ? "" : "s", fmt::join(stages, ", "));
}

// Names the two largest segments: where to look first.
std::string largest(std::vector<SegmentSize> segments) {
  std::stable_sort(segments.begin(), segments.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < std::min<std::size_t>(2, segments.size()); ++i)
    parts.push_back(fmt::format("{} {}", segments[i].name, gibibytes(segments[i].bytes)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

// Returns the bytes of the rank that needs most.
std::int64_t needed(RankLayoutRequest request, int ranks) {
  request.parallel.lfa_sharding = resolved_lfa_sharding(request);
  std::int64_t most = 0;
  for (const RankLayout& layout :
       pipeline_layouts(request, ranks, std::make_shared<const RunSchedules>(request, ranks)))
    most = std::max(most, layout.bytes());
  return most;
}

struct Change {
  std::string text;
  RankLayoutRequest request;
};

// Each change is of one key; the global batch stays.
std::vector<Change> changes(const Plan& plan) {
  const RankLayoutRequest& request = plan.request.layout;
  std::vector<Change> list;
  if (request.batch.samples > 1) {
    Change change{"training.micro_batch_size 1", request};
    change.request.batch.samples = 1;
    change.request.micro_batches *= static_cast<int>(request.batch.samples);
    list.push_back(change);
  }
  if (plan.data_parallel_size > 1 && !request.parallel.use_distributed_optimizer) {
    Change change{"parallel.use_distributed_optimizer true", request};
    change.request.parallel.use_distributed_optimizer = true;
    list.push_back(change);
  }
  if (plan.data_parallel_size % 2 == 0) {
    Change change{fmt::format("parallel.tensor_model_parallel_size {}",
                              2 * request.parallel.tensor_model_parallel_size),
                  request};
    change.request.parallel.tensor_model_parallel_size *= 2;
    change.request.micro_batches *= 2;
    list.push_back(change);
  }
  if (request.parallel.tensor_model_parallel_size > 1 && !request.parallel.sequence_parallel) {
    Change change{"parallel.sequence_parallel true", request};
    change.request.parallel.sequence_parallel = true;
    list.push_back(change);
  }
  return list;
}

}  // namespace

std::string gibibytes(std::int64_t bytes) {
  const double value = static_cast<double>(bytes) / 1073741824.0;
  return value < 0.1 ? fmt::format("{:.1f} MiB", value * 1024.0) : fmt::format("{:.1f} GiB", value);
}

std::vector<Shortage> shortages(const Plan& plan) {
  const std::int64_t limit = plan.request.cluster.device.memory_bytes;
  std::vector<Shortage> list;
  for (std::size_t r = 0; r < plan.ranks.size() && limit > 0; ++r) {
    const PipelineRankPlan& rank = plan.ranks[r];
    if (rank.memory_bytes <= limit) continue;
    list.push_back({static_cast<int>(r), rank.memory_bytes, limit,
                    fmt::format("{} needs {} of {}: {} short ({})", stages_of(plan, static_cast<int>(r)),
                                gibibytes(rank.memory_bytes), gibibytes(limit),
                                gibibytes(rank.memory_bytes - limit), largest(rank.memory))});
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const Shortage& a, const Shortage& b) { return a.needed > b.needed; });
  return list;
}

std::vector<std::string> remedies(const Plan& plan) {
  const std::int64_t limit = plan.request.cluster.device.memory_bytes;
  std::vector<std::pair<std::int64_t, std::string>> tried;
  for (const Change& change : changes(plan)) {
    try {
      const std::int64_t bytes = needed(change.request, plan.request.ranks);
      tried.emplace_back(bytes, fmt::format("{}: needs {}, {}", change.text, gibibytes(bytes),
                                            bytes <= limit ? "fits" : gibibytes(bytes - limit) + " short"));
    } catch (const UserError&) {
      // This model or this many ranks cannot be laid out so.
    }
  }
  std::stable_sort(tried.begin(), tried.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> texts;
  for (auto& [bytes, text] : tried) texts.push_back(std::move(text));
  return texts;
}

}  // namespace headwater
