#include "headwater/run/sharding_of.h"

#include "headwater/base/error.h"

namespace headwater {
namespace {

// "1, 2 or 4": the sizes up to `most` with which `fits` is content.
template <class Fits>
std::string sizes_that_fit(std::int64_t most, const Fits& fits) {
  std::vector<std::string> sizes;
  for (std::int64_t size = 1; size <= most; ++size)
    if (fits(size)) sizes.push_back(std::to_string(size));
  std::string text;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    text += (i == 0 ? "" : i + 1 == sizes.size() ? " or " : ", ") + sizes[i];
  return text;
}

// Why `tensor` ranks cannot share this layer; empty where they can.
std::string obstacle(const LayerSpec& layer, std::int64_t tensor) {
  if (layer.heads % tensor != 0) return fmt::format("model.num_attention_heads {}", layer.heads);
  if (layer.kv_heads % tensor != 0 && tensor % layer.kv_heads != 0)
    return fmt::format("model.num_query_groups {}", layer.kv_heads);
  if (layer.ffn % tensor != 0) return fmt::format("model.ffn_hidden_size {}", layer.ffn);
  if (layer.filter == FilterKind::lfa && layer.filter_channels() % tensor != 0)
    return fmt::format("the filter's channels (model.hidden_size / 2) {}", layer.filter_channels());
  return {};
}

// Beside what both forms send, a filter cut by channels scatters its sum in forward and gathers that sum's
// gradient in backward, [T, H] for every micro-batch; one cut by tokens passes single rows, and sums its
// weights' gradients once a step. As both are rings over the same links, the fewer bytes take the shorter
// time.
bool tokens_cost_less(const LayerSpec& layer, const RankLayoutRequest& request) {
  const std::int64_t hidden = layer.hidden, channels = layer.filter_channels();
  const auto compute = static_cast<std::int64_t>(size_of(request.precision.compute));
  const auto accumulate = static_cast<std::int64_t>(size_of(request.precision.accumulate));
  const std::int64_t by_channels = 2 * request.micro_batches * request.batch.tokens() * hidden * compute;
  const std::int64_t weights = 4 * hidden * channels + hidden + channels;
  const std::int64_t by_tokens =
      2 * weights * accumulate + 2 * request.micro_batches * (hidden + channels) * compute;
  return by_tokens < by_channels;
}

}  // namespace

std::string resolved_lfa_sharding(const RankLayoutRequest& request) {
  const ParallelConfig& parallel = request.parallel;
  if (parallel.lfa_sharding != "auto") return parallel.lfa_sharding;
  const bool choice = parallel.sequence_parallel && parallel.tensor_model_parallel_size > 1;
  return choice && tokens_cost_less(request.model.layers.front(), request) ? "tokens" : "channels";
}

Sharding sharding_of(const ModelSpec& model, const ParallelConfig& parallel, BatchShape batch) {
  Sharding sharding;
  sharding.tensor = parallel.tensor_model_parallel_size;
  const LayerSpec& layer = model.layers.front();
  if (const std::string what = obstacle(layer, sharding.tensor); !what.empty())
    throw UserError(
        "parallel.tensor_model_parallel_size is {}, which cannot share out {}; {} would do", sharding.tensor,
        what, sizes_that_fit(layer.heads, [&](std::int64_t size) { return obstacle(layer, size).empty(); }));
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
