#include "headwater/model/activation_spec.h"

#include "headwater/base/error.h"

#include <algorithm>

namespace headwater {
namespace {

using enum Pass;
using enum Kept;
using enum Dropped;

}  // namespace

std::vector<ActivationSpec> activations(const LayerSpec& layer, const Sharding& sharding, BatchShape batch,
                                        Precision precision) {
  HW_CHECK(sharding.tensor == 1, "layers cut over {} tensor ranks have no activations yet", sharding.tensor);
  const std::int64_t tokens = batch.tokens();
  const std::int64_t hidden = layer.hidden, queries = layer.query_width(), keys = layer.key_width(), ffn = layer.ffn;
  const std::int64_t channels = layer.filter_channels();
  const DType compute = precision.compute, statistics = precision.accumulate;
  const bool lfa = layer.filter == FilterKind::lfa;
  const bool dropout = layer.hidden_dropout > 0.0;

  std::vector<ActivationSpec> list;
  const auto add = [&](const char* name, Shape shape, DType dtype, Pass made, Kept kept, Dropped dropped = by_full) {
    list.push_back({name, shape, dtype, made, kept, dropped});
  };

  // Forward, in the order of the block (nn/block.h).
  add("input", {tokens, hidden}, compute, forward, until_input_gradient, never);
  add("attention_norm.rstd", {tokens}, statistics, forward, until_input_gradient, by_selective);
  add("attention_norm.out", {tokens, hidden}, compute, forward, until_weight_gradient, by_selective);
  if (lfa) {
    add("lfa.products", {tokens, 2 * hidden}, compute, forward, scratch);
    add("lfa.conv1", {tokens, channels}, compute, forward, until_weight_gradient);
    add("lfa.sum", {tokens, hidden}, compute, forward, until_input_gradient);
    add("lfa.norm.rstd", {tokens}, statistics, forward, until_input_gradient, by_selective);
    add("lfa.out", {tokens, hidden}, compute, forward, until_weight_gradient, by_selective);
    add("attention.qk", {tokens, queries + keys}, compute, forward, until_input_gradient);
    add("attention.v", {tokens, keys}, compute, forward, until_input_gradient);
  } else {
    add("attention.qkv", {tokens, queries + 2 * keys}, compute, forward, until_input_gradient);
  }
  add("attention.lse", {tokens, layer.heads}, statistics, forward, until_input_gradient, by_selective);
  add("attention.out", {tokens, queries}, compute, forward, until_weight_gradient, by_selective);
  add("branch", {tokens, hidden}, compute, forward, scratch);
  add("middle", {tokens, hidden}, compute, forward, until_input_gradient);
  add("mlp_norm.rstd", {tokens}, statistics, forward, until_input_gradient, by_selective);
  add("mlp_norm.out", {tokens, hidden}, compute, forward, until_weight_gradient, by_selective);
  add("mlp.gate_up", {tokens, 2 * ffn}, compute, forward, until_input_gradient);
  add("mlp.activation", {tokens, ffn}, compute, forward, until_weight_gradient, by_selective);

  // Backward, likewise. The gradient of the residual stream arrives in, and leaves by, the caller's tensors. Without
  // dropout it is also the gradient of the branches, which their last products' weight gradients need.
  if (dropout)
    add("mlp.d_branch", {tokens, hidden}, compute, backward, until_weight_gradient);
  else
    add("d_out", {tokens, hidden}, compute, backward, between_gradients);
  add("mlp.d_activation", {tokens, ffn}, compute, backward, scratch);
  add("mlp.d_gate_up", {tokens, 2 * ffn}, compute, backward, until_weight_gradient);
  add("mlp.d_norm", {tokens, hidden}, compute, backward, scratch);
  add("d_middle", {tokens, hidden}, compute, backward, dropout ? scratch : until_weight_gradient);
  if (dropout) add("attention.d_branch", {tokens, hidden}, compute, backward, until_weight_gradient);
  add("attention.d_out", {tokens, queries}, compute, backward, scratch);
  if (lfa) {
    add("attention.d_qk", {tokens, queries + keys}, compute, backward, until_weight_gradient);
    add("attention.d_v", {tokens, keys}, compute, backward, until_weight_gradient);
    add("lfa.d_out", {tokens, hidden}, compute, backward, scratch);
    add("lfa.d_sum", {tokens, hidden}, compute, backward, scratch);
    add("lfa.d_products2", {tokens, 2 * hidden}, compute, backward, until_weight_gradient);
    add("lfa.d_conv1", {tokens, channels}, compute, backward, scratch);
    add("lfa.d_products1", {tokens, 2 * channels}, compute, backward, until_weight_gradient);
  } else {
    add("attention.d_qkv", {tokens, queries + 2 * keys}, compute, backward, until_weight_gradient);
    add("attention_norm.d_out", {tokens, hidden}, compute, backward, scratch);
  }
  return list;
}

std::int64_t head_block(const ModelSpec& model, const Sharding& sharding, BatchShape batch, Precision precision) {
  constexpr std::int64_t kLogitBytes = std::int64_t{8} << 20;
  // Every block reads the weight twice and adds to the whole weight gradient. On a CPU core with bf16 products a head of
  // 50304 x 768 takes 1.4 times as long in blocks of 83 tokens as in blocks of 256, and 7 % less in blocks of 512.
  constexpr std::int64_t kTokens = 256;
  const std::int64_t row = model.padded_vocabulary(sharding) / sharding.tensor *
                           static_cast<std::int64_t>(size_of(precision.compute));
  return std::min(batch.tokens(), std::max(kTokens, kLogitBytes / row));
}

std::vector<ActivationSpec> head_activations(const ModelSpec& model, const Sharding& sharding, BatchShape batch,
                                             Precision precision) {
  const std::int64_t tokens = batch.tokens(), block = head_block(model, sharding, batch, precision);
  const std::int64_t shard = model.padded_vocabulary(sharding) / sharding.tensor;
  std::vector<ActivationSpec> list;
  list.push_back({"input", {tokens, model.hidden}, precision.compute, forward, until_input_gradient, never});
  list.push_back({"norm.rstd", {tokens}, precision.accumulate, forward, until_input_gradient, never});
  list.push_back({"norm.out", {tokens, model.hidden}, precision.compute, forward, scratch, never});
  list.push_back({"logits", {block, shard}, precision.compute, forward, scratch, never});
  list.push_back({"statistics", {block, 3}, precision.accumulate, forward, scratch, never});
  // Taken in forward, with the loss; backward turns it into the gradient of `input`.
  list.push_back({"d_norm", {tokens, model.hidden}, precision.compute, forward, until_input_gradient, never});
  return list;
}

}  // namespace headwater
