// The JSON that `headwater plan --json` prints: the keys that scripts rely on, and more.

#include "headwater/config/load_config.h"
#include "headwater/plan/simulate/plan_report.h"

#include "shortage.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace headwater {
namespace {

using nlohmann::json;

json to_json(const StepSeconds& s) {
  return {{"compute", s.compute},
          {"recompute", s.recompute},
          {"pipeline_wait", s.pipeline_wait},
          {"tensor_communication", s.tensor_communication},
          {"data_communication", s.data_communication},
          {"optimizer", s.optimizer}};
}

json to_json(const SentBytes& sent) {
  return {{"pipeline", sent.pipeline}, {"tensor", sent.tensor}, {"data", sent.data}};
}

// Returns the stage's entry of parallel.recompute: a word, or how many layers are recomputed in full.
json recompute_of(const StageUnits& units) {
  if (units.recompute == Recompute::none || units.recomputed == 0) return "none";
  if (units.recompute == Recompute::selective) return "selective";
  if (units.recomputed >= units.layers()) return "full";
  return units.recomputed;
}

json to_json(const StagePlan& stage) {
  const PassSeconds& s = stage.seconds;
  return {{"stage", stage.stage},
          {"pipeline_rank", stage.pipeline_rank},
          {"layers", stage.units.layers()},
          {"recompute", recompute_of(stage.units)},
          {"forward_seconds", s.forward.total()},
          {"input_gradient_seconds", s.input_gradient.total()},
          {"weight_gradient_seconds", s.weight_gradient.total()}};
}

}  // namespace

json to_json(const Plan& plan) {
  RunConfig run;
  run.parallel = plan.request.layout.parallel;
  json stages = json::array(), memory = json::array(), ranks = json::array(), links = json::array(),
       missing = json::array();
  for (const StagePlan& stage : plan.stages) stages.push_back(to_json(stage));
  for (const PipelineRankPlan& rank : plan.ranks) {
    json segments = json::object();
    for (const SegmentSize& segment : rank.memory) segments[segment.name] = segment.bytes;
    segments["total"] = rank.memory_bytes;
    memory.push_back(segments);
    ranks.push_back({{"seconds", to_json(rank.seconds)}, {"bytes_sent", to_json(rank.sent)}});
  }
  for (const LinkLoad& link : link_loads(plan))
    links.push_back({{"from", link.from},
                     {"to", link.to},
                     {"between_nodes", link.between_nodes},
                     {"bytes", link.bytes},
                     {"busy_seconds", link.busy_seconds}});
  for (const Shortage& shortage : shortages(plan))
    missing.push_back({{"pipeline_rank", shortage.pipeline_rank},
                       {"needed_bytes", shortage.needed},
                       {"available_bytes", shortage.available},
                       {"text", shortage.text}});
  return {{"step_seconds", plan.time.seconds},
          {"tokens_per_second", plan.tokens_per_second()},
          {"mfu", plan.mfu},
          {"hfu", plan.hfu},
          {"bubble_fraction", plan.time.bubble_fraction},
          {"fits", plan.fits()},
          {"parallel", headwater::to_json(run)["parallel"]},
          {"stages", stages},
          {"memory", memory},
          {"seconds", to_json(plan.busiest().seconds)},
          {"bytes_sent", to_json(plan.most_sent().sent)},
          {"ranks", ranks},
          {"links", links},
          {"shortages", missing},
          {"remedies", plan.fits() ? std::vector<std::string>{} : remedies(plan)},
          {"rank_count", plan.request.ranks},
          {"data_parallel_size", plan.data_parallel_size},
          {"micro_batches", plan.request.layout.micro_batches},
          {"dtype", plan.request.dtype},
          {"cluster", plan.request.cluster.name}};
}

}  // namespace headwater
