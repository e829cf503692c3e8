// Finds what each stage recomputes by parallel.recompute.

#include "headwater/base/error.h"
#include "headwater/layout/stage_layout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace headwater {
namespace {

Recompute kind_of(const std::string& word) {
  if (word == "selective") return Recompute::selective;
  if (word == "full") return Recompute::full;
  HW_CHECK(word == "none", "recompute {}", word);
  return Recompute::none;
}

std::string key_of(const RecomputeLayout& layout) {
  std::vector<std::string> entries;
  for (const RecomputeLayout::Entry& entry : layout.stages)
    std::visit([&](const auto& item) { entries.push_back(fmt::format("{}", item)); }, entry);
  return fmt::format("parallel.recompute [{}]", fmt::join(entries, ","));
}

}  // namespace

Recompute StageUnits::recompute_of(int unit) const {
  const bool is_layer = unit >= first_layer() && unit < first_layer() + layers();
  return is_layer && unit < first_layer() + recomputed ? recompute : Recompute::none;
}

std::string StageUnits::recompute_text() const {
  if (recompute == Recompute::none || recomputed == 0) return "none";
  if (recompute == Recompute::selective) return "selective";
  return recomputed == layers() ? "full" : fmt::format("{} in full", recomputed);
}

void StageLayout::read_recompute(const ParallelConfig& parallel) {
  const RecomputeLayout& layout = parallel.recompute;
  const std::vector<RecomputeLayout::Entry> entries =
      layout.stages.empty() ? std::vector<RecomputeLayout::Entry>(units_.size(), layout.all) : layout.stages;
  if (entries.size() != units_.size())
    throw UserError(
        "{} has {} {}; it needs {}, one per stage (pipeline_model_parallel_size {} x num_chunks {})",
        key_of(layout), entries.size(), entries.size() == 1 ? "entry" : "entries", units_.size(),
        parallel.pipeline_model_parallel_size, parallel.num_chunks);
  for (std::size_t stage = 0; stage < units_.size(); ++stage) {
    StageUnits& units = units_[stage];
    if (const auto* word = std::get_if<std::string>(&entries[stage])) {
      units.recompute = kind_of(*word);
      units.recomputed = units.recompute == Recompute::none ? 0 : units.layers();
      continue;
    }
    const std::int64_t count = std::get<std::int64_t>(entries[stage]);
    if (count < 0 || count > units.layers())
      throw UserError("{} recomputes {} layers of stage {}, which has {}; 0 to {} is possible",
                      key_of(layout), count, stage, units.layers(), units.layers());
    units.recompute = count == 0 ? Recompute::none : Recompute::full;
    units.recomputed = static_cast<int>(count);
  }
}

}  // namespace headwater
