#include "headwater/run/sharding_of.h"

#include "headwater/base/error.h"
#include "headwater/nn/model_units.h"
#include "headwater/nn/unit_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace headwater {
namespace {

// Returns what keeps `tensor` ranks from sharing the model's units; empty where they can.
std::string obstacle(const ModelSpec& model, std::int64_t tensor) {
  for (int unit = 0; unit < model.units(); ++unit)
    for (const SharedOut& shared : describe({.model = model, .unit = unit}).shared_out())
      if (!shared.fits(tensor)) return fmt::format("{} {}", shared.what, shared.parts);
  return {};
}

// Returns "1, 2 or 4": the numbers of ranks that can share every layer.
std::string tensor_sizes_that_fit(const ModelSpec& model) {
  std::int64_t fewest_heads = std::numeric_limits<std::int64_t>::max();
  for (const LayerSpec& layer : model.layers) fewest_heads = std::min(fewest_heads, layer.heads);
  std::vector<std::string> sizes;
  for (std::int64_t size = 1; size <= fewest_heads; ++size)
    if (obstacle(model, size).empty()) sizes.push_back(std::to_string(size));
  std::string text;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    text += (i == 0 ? "" : i + 1 == sizes.size() ? " or " : ", ") + sizes[i];
  return text;
}

// Returns the bytes that a rank exchanges in a step with the ranks that share its units, as far as they
// depend on how LFA is cut: what the layers' passes exchange, and the sums of gradients of what every rank
// holds whole. All are rings over the same links, so that fewer bytes take less time.
double exchanged_bytes(const RankLayoutRequest& request, LfaSharding lfa) {
  Sharding sharding;
  sharding.tensor = request.parallel.tensor_model_parallel_size;
  sharding.sequence_parallel = true;
  sharding.lfa = lfa;
  double pass = 0.0, summed = 0.0;
  for (std::size_t i = 0; i < request.model.layers.size(); ++i) {
    const UnitSite site{.model = request.model,
                        .unit = static_cast<int>(i) + 1,
                        .sharding = sharding,
                        .batch = request.batch,
                        .precision = request.precision,
                        .device = request.device};
    const UnitRecord record = record_unit(site);
    for (const PassRecord* one : {&record.forward, &record.input_gradient})
      for (const Exchange& exchange : one->exchanges)
        if (exchange.kind != Exchange::Kind::receive) pass += exchange.bytes;
    for (const ParameterSpec& spec : describe(site).parameters())
      if (spec.trained && spec.reduced_over.contains(Axis::tensor))
        summed += static_cast<double>(spec.elements());
  }
  return request.micro_batches * pass +
         2.0 * summed * static_cast<double>(size_of(request.precision.accumulate));
}

}  // namespace

bool has_lfa(const ModelSpec& model) {
  return std::ranges::any_of(model.layers,
                             [](const LayerSpec& layer) { return layer.filter == FilterKind::lfa; });
}

std::string resolved_lfa_sharding(const RankLayoutRequest& request) {
  const ParallelConfig& parallel = request.parallel;
  if (parallel.lfa_sharding != "auto") return parallel.lfa_sharding;
  const bool choice = parallel.sequence_parallel && parallel.tensor_model_parallel_size > 1;
  return choice && exchanged_bytes(request, LfaSharding::tokens) <
                       exchanged_bytes(request, LfaSharding::channels)
             ? "tokens"
             : "channels";
}

Sharding sharding_of(const ModelSpec& model, const ParallelConfig& parallel, BatchShape batch) {
  Sharding sharding;
  sharding.tensor = parallel.tensor_model_parallel_size;
  if (const std::string what = obstacle(model, sharding.tensor); !what.empty())
    throw UserError("parallel.tensor_model_parallel_size is {}, which cannot share out {}; {} would do",
                    sharding.tensor, what, tensor_sizes_that_fit(model));
  if (sharding.tensor == 1) return sharding;  // nothing to cut

  sharding.sequence_parallel = parallel.sequence_parallel;
  const std::int64_t tokens = batch.tokens();
  if (parallel.sequence_parallel && (tokens % sharding.tensor != 0 || tokens / sharding.tensor < 2))
    throw UserError(
        "parallel.sequence_parallel: {} tensor ranks cannot take equal parts of two tokens or more of the {} "
        "of a micro-batch "
        "(training.micro_batch_size {} x training.seq_length {})",
        sharding.tensor, tokens, batch.samples, batch.sequence);
  if (parallel.lfa_sharding == "tokens" && !parallel.sequence_parallel)
    throw UserError(
        "parallel.lfa_sharding is \"tokens\", which needs parallel.sequence_parallel true; \"channels\" does "
        "not");
  HW_CHECK(parallel.lfa_sharding != "auto", "lfa_sharding auto is not resolved");
  if (parallel.lfa_sharding == "tokens") sharding.lfa = LfaSharding::tokens;
  return sharding;
}

}  // namespace headwater
