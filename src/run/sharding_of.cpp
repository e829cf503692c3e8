#include "headwater/run/sharding_of.h"

#include "headwater/base/error.h"
#include "headwater/nn/model_units.h"
#include "headwater/nn/unit_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace headwater {
namespace {

std::vector<SharedOut> shared_out(const ModelSpec& model) {
  std::vector<SharedOut> all;
  for (const auto& [unit, alike] : model.distinct_units())
    for (SharedOut& shared : describe({.model = model, .unit = unit}).shared_out())
      all.push_back(std::move(shared));
  return all;
}

// Returns what `tensor` ranks cannot share out; empty where they can share every unit.
std::string obstacle(const std::vector<SharedOut>& all, std::int64_t tensor) {
  for (const SharedOut& shared : all)
    if (!shared.fits(tensor)) return fmt::format("{} {}", shared.what, shared.parts);
  return {};
}

// Returns "1, 2 or 4": the numbers of ranks that can share every unit.
std::string tensor_sizes_that_fit(const std::vector<SharedOut>& all) {
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (const SharedOut& shared : all)
    if (!shared.repeats) most = std::min(most, shared.parts);
  std::vector<std::string> sizes;
  for (std::int64_t size = 1; size <= most; ++size)
    if (obstacle(all, size).empty()) sizes.push_back(std::to_string(size));
  std::string text;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    text += (i == 0 ? "" : i + 1 == sizes.size() ? " or " : ", ") + sizes[i];
  return text;
}

// Returns how ranks hold the parameters of unit `unit` where tokens are cut and LFA is cut as said.
std::vector<ParameterSpec> cut_parameters(const ModelSpec& model, int unit, LfaSharding lfa) {
  return describe({.model = model, .unit = unit, .sharding = {2, true, lfa}}).parameters();
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
  for (const auto& [unit, alike] : request.model.distinct_units()) {
    if (!request.model.is_layer(unit)) continue;
    const UnitSite site{.model = request.model,
                        .unit = unit,
                        .sharding = sharding,
                        .batch = request.batch,
                        .precision = request.precision,
                        .device = request.device};
    const UnitRecord record = record_unit(site);
    for (const PassRecord* one : {&record.forward, &record.input_gradient})
      for (const Exchange& exchange : one->exchanges)
        if (exchange.kind != Exchange::Kind::receive) pass += alike * exchange.bytes;
    for (const ParameterSpec& spec : describe(site).parameters())
      if (spec.trained && spec.reduced_over.contains(Axis::tensor))
        summed += alike * static_cast<double>(spec.elements());
  }
  return request.micro_batches * pass +
         2.0 * summed * static_cast<double>(size_of(request.precision.accumulate));
}

}  // namespace

bool can_share(const ModelSpec& model, std::int64_t tensor) {
  return obstacle(shared_out(model), tensor).empty();
}

bool has_lfa(const ModelSpec& model) {
  for (const auto& [unit, alike] : model.distinct_units()) {
    const std::vector<ParameterSpec> by_channels = cut_parameters(model, unit, LfaSharding::channels),
                                     by_tokens = cut_parameters(model, unit, LfaSharding::tokens);
    for (std::size_t i = 0; i < by_channels.size(); ++i)
      if (by_channels[i].split.dimension != by_tokens[i].split.dimension) return true;
  }
  return false;
}

std::string resolved_lfa_sharding(const RankLayoutRequest& request) {
  ParallelConfig parallel = request.parallel;
  if (parallel.lfa_sharding != "auto") return parallel.lfa_sharding;
  parallel.lfa_sharding = "channels";
  if (!parallel.sequence_parallel || parallel.tensor_model_parallel_size == 1) return "channels";
  static_cast<void>(sharding_of(request.model, parallel, request.batch));  // what cannot be cut is refused
  return exchanged_bytes(request, LfaSharding::tokens) < exchanged_bytes(request, LfaSharding::channels)
             ? "tokens"
             : "channels";
}

Sharding sharding_of(const ModelSpec& model, const ParallelConfig& parallel, BatchShape batch) {
  Sharding sharding;
  sharding.tensor = parallel.tensor_model_parallel_size;
  const std::vector<SharedOut> shared = shared_out(model);
  if (const std::string what = obstacle(shared, sharding.tensor); !what.empty())
    throw UserError("parallel.tensor_model_parallel_size is {}, which cannot share out {}; {} would do",
                    sharding.tensor, what, tensor_sizes_that_fit(shared));
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
