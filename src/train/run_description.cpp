#include "run_description.h"

#include "headwater/nn/model_units.h"
#include "headwater/run/sharding_of.h"

#include <fmt/format.h>

namespace headwater {
namespace {

// Returns "2 tensor ranks (sequence parallel, filter by tokens) x "; empty where there is one tensor rank.
std::string tensor_ranks(const RankLayout& layout) {
  const Sharding& sharding = layout.sharding;
  if (sharding.tensor == 1) return {};
  const bool lfa = has_lfa(layout.request.model);
  const char* filter = sharding.filter_by_tokens() ? ", filter by tokens" : ", filter by channels";
  return fmt::format(
      "{} tensor ranks{} x ", sharding.tensor,
      sharding.sequence_parallel ? fmt::format(" (sequence parallel{})", lfa ? filter : "") : "");
}

std::string growth_of(const TrainingConfig& training) {
  const std::vector<std::int64_t>& ramp = training.rampup_batch_size;
  return ramp.empty() ? ""
                      : fmt::format(", from {} by {} over the first {} samples", ramp[0], ramp[1], ramp[2]);
}

}  // namespace

std::string describe_run(const RunStart& start, const RankLayout& layout, int ranks,
                         const SampleStream& data) {
  const ModelConfig& model = start.run.model;
  const TrainingConfig& training = start.run.training;
  return fmt::format("model: {} parameters, {} layers, hidden {}, vocabulary {}, LFA {}\n",
                     parameter_count(layout.request.model), model.num_layers, model.hidden_size,
                     model.vocab_size, has_lfa(layout.request.model) ? "on" : "off") +
         fmt::format("ranks: {} = {}{} pipeline stages x {} replicas, {} threads each, {} on {}\n", ranks,
                     tensor_ranks(layout), layout.grid.size(Axis::pipeline), layout.grid.size(Axis::data),
                     start.settings.threads, start.settings.dtype,
                     start.settings.device.kind == Device::Kind::cpu ? "the CPU" : "GPUs") +
         fmt::format("data: {} tokens, {} samples an epoch; a step takes {} samples of {} tokens{}\n",
                     data.tokens(), data.samples_per_epoch(), training.global_batch_size, training.seq_length,
                     growth_of(training));
}

}  // namespace headwater
