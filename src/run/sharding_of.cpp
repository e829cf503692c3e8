#include "headwater/run/sharding_of.h"

#include "headwater/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

namespace headwater {
namespace {

// Returns what keeps `tensor` ranks from sharing this layer; empty where they can.
std::string obstacle(const LayerSpec& layer, std::int64_t tensor) {
  if (layer.heads % tensor != 0) return fmt::format("model.num_attention_heads {}", layer.heads);
  if (layer.kv_heads % tensor != 0 && tensor % layer.kv_heads != 0)
    return fmt::format("model.num_query_groups {}", layer.kv_heads);
  if (layer.ffn % tensor != 0) return fmt::format("model.ffn_hidden_size {}", layer.ffn);
  if (layer.filter == FilterKind::lfa && layer.filter_channels() % tensor != 0)
    return fmt::format("the filter's channels (model.hidden_size / 2) {}", layer.filter_channels());
  return {};
}

// Returns what keeps `tensor` ranks from sharing the first layer that they cannot share.
std::string obstacle(const ModelSpec& model, std::int64_t tensor) {
  for (const LayerSpec& layer : model.layers)
    if (std::string what = obstacle(layer, tensor); !what.empty()) return what;
  return {};
}

// Returns "1, 2 or 4": the numbers of ranks that can share every layer.
std::string tensor_sizes_that_fit(const ModelSpec& model) {
  std::int64_t most_heads = 0;
  for (const LayerSpec& layer : model.layers) most_heads = std::max(most_heads, layer.heads);
  std::vector<std::string> sizes;
  for (std::int64_t size = 1; size <= most_heads; ++size)
    if (obstacle(model, size).empty()) sizes.push_back(std::to_string(size));
  std::string text;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    text += (i == 0 ? "" : i + 1 == sizes.size() ? " or " : ", ") + sizes[i];
  return text;
}

// Compares the bytes that the two forms send beside what both do. A filter cut by channels scatters its sum
// in forward and gathers that sum's gradient in backward: [T, H] for every micro-batch. One cut by tokens
// passes single rows, and sums its weights' gradients once a step. Both are rings over the same links, so
// that fewer bytes take less time.
bool tokens_cost_less(const RankLayoutRequest& request) {
  const auto compute = static_cast<std::int64_t>(size_of(request.precision.compute));
  const auto accumulate = static_cast<std::int64_t>(size_of(request.precision.accumulate));
  std::int64_t by_channels = 0, by_tokens = 0;
  for (const LayerSpec& layer : request.model.layers) {
    const std::int64_t hidden = layer.hidden, channels = layer.filter_channels();
    const std::int64_t weights = 4 * hidden * channels + hidden + channels;
    by_channels += 2 * request.micro_batches * request.batch.tokens() * hidden * compute;
    by_tokens += 2 * weights * accumulate + 2 * request.micro_batches * (hidden + channels) * compute;
  }
  return by_tokens < by_channels;
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
  return choice && tokens_cost_less(request) ? "tokens" : "channels";
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
