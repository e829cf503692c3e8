#include "headwater/layout/stage_layout.h"

#include "headwater/base/error.h"
#include "headwater/config/load_config.h"
#include "headwater/schedule/schedule_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <numeric>

namespace headwater {
namespace {

using Counts = std::vector<std::int64_t>;

// "2 or 5": the sizes next to the one asked for that share the layers out evenly; empty where there is none.
std::string pipeline_sizes_that_divide(std::int64_t layers, const ParallelConfig& parallel) {
  const auto divides = [&](std::int64_t size) { return layers % (size * parallel.num_chunks) == 0; };
  std::int64_t below = parallel.pipeline_model_parallel_size, above = below;
  while (below > 0 && !divides(below)) --below;
  while (above <= layers && !divides(above)) ++above;
  if (below == 0) return above > layers ? "" : std::to_string(above);
  return above > layers ? std::to_string(below) : fmt::format("{} or {}", below, above);
}

Counts uniform(std::int64_t layers, std::int64_t stages, const ParallelConfig& parallel) {
  if (layers % stages == 0) return Counts(static_cast<std::size_t>(stages), layers / stages);
  const std::int64_t below = layers / stages * stages;
  const std::string sizes = pipeline_sizes_that_divide(layers, parallel);
  throw UserError(
      "parallel.pipeline_layout is \"uniform\", but {} layers do not divide into {} stages: model.num_layers "
      "{}{}, {}or a list such as [{}] would do",
      layers, stages, below > 0 ? fmt::format("{} or ", below) : "", below + stages,
      sizes.empty() ? "" : fmt::format("parallel.pipeline_model_parallel_size {}, ", sizes),
      fmt::join(nearly_uniform(layers, stages), ","));
}

void check(const Counts& counts, std::int64_t layers, std::int64_t stages, const ParallelConfig& parallel) {
  const std::string key = fmt::format("parallel.pipeline_layout [{}]", fmt::join(counts, ","));
  if (static_cast<std::int64_t>(counts.size()) != stages)
    throw UserError(
        "{} has {} {}; it needs {}, one per stage (pipeline_model_parallel_size {} x num_chunks {})", key,
        counts.size(), counts.size() == 1 ? "entry" : "entries", stages,
        parallel.pipeline_model_parallel_size, parallel.num_chunks);
  for (std::size_t stage = 0; stage < counts.size(); ++stage) {
    if (counts[stage] < 0 || counts[stage] > layers)
      throw UserError("{} gives stage {} {} layers; 0 to {} is possible", key, stage, counts[stage], layers);
    if (counts[stage] == 0 && stage != 0 && stage + 1 != counts.size())
      throw UserError(
          "{} leaves stage {} empty; only the first and the last may have 0 layers (embedding or head alone)",
          key, stage);
  }
  const auto sum = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  if (sum != layers)
    throw UserError("{} adds up to {} layers; it must add up to model.num_layers, {}", key, sum, layers);
}

}  // namespace

Placement placement_of(const ParallelConfig& parallel) {
  return Placement(static_cast<int>(parallel.pipeline_model_parallel_size),
                   static_cast<int>(resolved(parallel).num_chunks),
                   schedule_kind(parallel.pipeline_schedule).folded);
}

// The later stages get what is left over, but the last does not: the first stages hold the activations of the
// most micro-batches, and the last has the head.
std::vector<std::int64_t> nearly_uniform(std::int64_t layers, std::int64_t stages) {
  Counts counts(static_cast<std::size_t>(stages), layers / stages);
  for (std::int64_t i = 0; i < layers % stages; ++i) ++counts[static_cast<std::size_t>(stages - 2 - i)];
  return counts;
}

StageLayout::StageLayout(const ModelSpec& model, const ParallelConfig& given) {
  const ParallelConfig parallel = resolved(given);
  const auto layers = static_cast<std::int64_t>(model.layers.size());
  const std::int64_t stages = parallel.pipeline_model_parallel_size * parallel.num_chunks;
  HW_CHECK(parallel.pipeline_model_parallel_size >= 1 && parallel.num_chunks >= 1, "{} x {} stages",
           parallel.pipeline_model_parallel_size, parallel.num_chunks);
  if (stages > layers + 2)
    throw UserError(
        "parallel.pipeline_model_parallel_size {} x num_chunks {} makes {} stages; with model.num_layers {} "
        "at most {} have anything to do (embedding and head alone at the two ends)",
        parallel.pipeline_model_parallel_size, parallel.num_chunks, stages, layers, layers + 2);
  HW_CHECK(parallel.pipeline_layout.uniform || !parallel.pipeline_layout.layers.empty(),
           "pipeline_layout auto is not resolved");
  if (!parallel.pipeline_layout.uniform) check(parallel.pipeline_layout.layers, layers, stages, parallel);
  const Counts counts =
      parallel.pipeline_layout.uniform ? uniform(layers, stages, parallel) : parallel.pipeline_layout.layers;

  for (std::size_t stage = 0; stage < counts.size(); ++stage) {
    StageUnits units;
    units.has_embedding = stage == 0;
    units.has_head = stage + 1 == counts.size();
    units.first = stage == 0 ? model.embedding_unit() : units_.back().last;
    units.last = units.first + static_cast<int>(counts[stage]) + (units.has_embedding ? 1 : 0) +
                 (units.has_head ? 1 : 0);
    units_.push_back(units);
  }
  read_recompute(parallel);
}

int StageLayout::stage_of_unit(int unit) const {
  HW_CHECK(unit >= 0 && unit < units_.back().last, "unit {} of {}", unit, units_.back().last);
  int stage = 0;
  while (units_[static_cast<std::size_t>(stage)].last <= unit) ++stage;
  return stage;
}

}  // namespace headwater
