#include "headwater/model/activation_spec.h"

#include "headwater/base/error.h"

#include <algorithm>

namespace headwater {
namespace {

using enum Pass;
using enum Kept;
using enum Dropped;

}  // namespace

// Tokens T, of which a rank's norms and residuals see L = T / t where tokens are cut among t tensor ranks.
// Around the linears they are whole again: "….all" is gathered in forward, "….again" in backward; "….shard"
// is this rank's part of a sum over ranks.
std::vector<ActivationSpec> activations(const LayerSpec& layer, const Sharding& sharding, BatchShape batch,
                                        Precision precision) {
  const std::int64_t tokens = batch.tokens(), local = sharding.local_tokens(tokens), hidden = layer.hidden;
  const LayerShard shard(layer, sharding);
  const std::int64_t queries = shard.query_width, keys = shard.key_width, ffn = shard.ffn,
                     channels = shard.channels;
  const DType compute = precision.compute, statistics = precision.accumulate;
  const bool lfa = layer.filter == FilterKind::lfa, by_tokens = sharding.filter_by_tokens();
  const bool dropout = layer.hidden_dropout > 0.0;
  const bool several = sharding.tensor > 1, cut = sharding.sequence_parallel;
  const std::int64_t filtered = by_tokens ? local : tokens;  // tokens that this rank's convolutions see

  std::vector<ActivationSpec> list;
  const auto add = [&](const char* name, Shape shape, DType dtype, Pass made, Kept kept,
                       Dropped dropped = by_full) {
    list.push_back({name, shape, dtype, made, kept, dropped});
  };

  // What a product's weight gradient reads of forward; where tokens are cut, it reads what backward gathers.
  const Kept product_input = cut ? until_input_gradient : until_weight_gradient;

  // Forward, in the order of the block (nn/block.h).
  add("input", {local, hidden}, compute, forward, until_input_gradient, never);
  add("attention_norm.rstd", {local}, statistics, forward, until_input_gradient, by_selective);
  add("attention_norm.out", {local, hidden}, compute, forward,
      lfa && by_tokens ? until_weight_gradient : product_input, by_selective);
  if (cut) add("attention_norm.all", {tokens, hidden}, compute, forward, scratch);
  if (lfa) {
    add("lfa.products", {filtered, 2 * hidden}, compute, forward, scratch);
    if (by_tokens) {
      add("lfa.before1", {1, channels}, compute, forward, scratch);
      add("lfa.before2", {1, hidden}, compute, forward, scratch);
    }
    add("lfa.conv1", {filtered, channels}, compute, forward, until_weight_gradient);
    if (several && !by_tokens) add("lfa.conv2", {tokens, hidden}, compute, forward, scratch);
    if (cut && !by_tokens) add("lfa.conv2.shard", {local, hidden}, compute, forward, scratch);
    add("lfa.sum", {local, hidden}, compute, forward, until_input_gradient);
    add("lfa.norm.rstd", {local}, statistics, forward, until_input_gradient, by_selective);
    add("lfa.out", {local, hidden}, compute, forward, product_input, by_selective);
    if (cut) add("lfa.all", {tokens, hidden}, compute, forward, scratch);
    add("attention.qk", {tokens, queries + keys}, compute, forward, until_input_gradient);
    add("attention.v", {tokens, keys}, compute, forward, until_input_gradient);
  } else {
    add("attention.qkv", {tokens, queries + 2 * keys}, compute, forward, until_input_gradient);
  }
  add("attention.lse", {tokens, shard.heads}, statistics, forward, until_input_gradient, by_selective);
  add("attention.out", {tokens, queries}, compute, forward, until_weight_gradient, by_selective);
  add("branch", {tokens, hidden}, compute, forward, scratch);
  if (cut) add("branch.shard", {local, hidden}, compute, forward, scratch);
  add("middle", {local, hidden}, compute, forward, until_input_gradient);
  add("mlp_norm.rstd", {local}, statistics, forward, until_input_gradient, by_selective);
  add("mlp_norm.out", {local, hidden}, compute, forward, product_input, by_selective);
  if (cut) add("mlp_norm.all", {tokens, hidden}, compute, forward, scratch);
  add("mlp.gate_up", {tokens, 2 * ffn}, compute, forward, until_input_gradient);
  add("mlp.activation", {tokens, ffn}, compute, forward, until_weight_gradient, by_selective);

  // Backward, likewise. The gradient of the residual stream arrives in, and leaves by, the caller's tensors.
  // Without dropout, and where tokens are whole, it is also the gradient of the branches, which their last
  // products' weight gradients need.
  const bool branch_is_stream = !dropout && !cut;
  if (dropout) add("mlp.d_branch", {local, hidden}, compute, backward, cut ? scratch : until_weight_gradient);
  if (branch_is_stream) add("d_out", {local, hidden}, compute, backward, between_gradients);
  if (cut) add("mlp.d_branch.all", {tokens, hidden}, compute, backward, until_weight_gradient);
  add("mlp.d_activation", {tokens, ffn}, compute, backward, scratch);
  add("mlp.d_gate_up", {tokens, 2 * ffn}, compute, backward, until_weight_gradient);
  if (cut) add("mlp_norm.again", {tokens, hidden}, compute, backward, until_weight_gradient);
  add("mlp.d_norm", {tokens, hidden}, compute, backward, scratch);
  if (cut) add("mlp.d_norm.shard", {local, hidden}, compute, backward, scratch);
  add("d_middle", {local, hidden}, compute, backward, branch_is_stream ? until_weight_gradient : scratch);
  if (dropout)
    add("attention.d_branch", {local, hidden}, compute, backward, cut ? scratch : until_weight_gradient);
  if (cut) add("attention.d_branch.all", {tokens, hidden}, compute, backward, until_weight_gradient);
  add("attention.d_out", {tokens, queries}, compute, backward, scratch);
  if (cut) add("attention_norm.again", {tokens, hidden}, compute, backward, until_weight_gradient);
  if (lfa) {
    add("attention.d_qk", {tokens, queries + keys}, compute, backward, until_weight_gradient);
    add("attention.d_v", {tokens, keys}, compute, backward, until_weight_gradient);
    if (cut) add("lfa.again", {tokens, hidden}, compute, backward, until_weight_gradient);
    add("lfa.d_out", {tokens, hidden}, compute, backward, scratch);
    if (cut) add("lfa.d_out.shard", {local, hidden}, compute, backward, scratch);
    add("lfa.d_sum", {local, hidden}, compute, backward, scratch);
    if (cut && !by_tokens) add("lfa.d_sum.all", {tokens, hidden}, compute, backward, scratch);
    add("lfa.d_products2", {filtered, 2 * hidden}, compute, backward, until_weight_gradient);
    add("lfa.d_conv1", {filtered, channels}, compute, backward, scratch);
    add("lfa.d_products1", {filtered, 2 * channels}, compute, backward, until_weight_gradient);
    if (by_tokens) {
      add("lfa.d_before1", {1, channels}, compute, backward, scratch);
      add("lfa.d_before2", {1, hidden}, compute, backward, scratch);
    }
  } else {
    add("attention.d_qkv", {tokens, queries + 2 * keys}, compute, backward, until_weight_gradient);
  }
  if (several || !lfa) add("attention_norm.d_out", {tokens, hidden}, compute, backward, scratch);
  if (cut) add("attention_norm.d_out.shard", {local, hidden}, compute, backward, scratch);
  return list;
}

std::vector<ActivationSpec> embedding_activations(const ModelSpec& model, const Sharding& sharding,
                                                  BatchShape batch, Precision precision) {
  if (!sharding.sequence_parallel) return {};
  const Shape all{batch.tokens(), model.hidden};
  return {{"out", all, precision.compute, forward, scratch, never},
          {"d_out.all", all, precision.compute, backward, scratch, never}};
}

namespace {

// A CPU's caches hold a few MiB. Every block reads the weight twice and adds to the whole weight gradient. On
// a core with bf16 products a head of 50304 x 768 takes 1.4 times as long in blocks of 83 tokens as in blocks
// of 256, and 7 % less in blocks of 512.
std::int64_t cpu_head_block(std::int64_t tokens, std::int64_t row_bytes) {
  constexpr std::int64_t kLogitBytes = std::int64_t{8} << 20, kTokens = 256;
  return std::min(tokens, std::max(kTokens, kLogitBytes / row_bytes));
}

// In a block of b tokens the weight gradient takes 2bVH FLOPs and moves its f32 sum, 8VH bytes. An H100,
// whose 989e12 FLOP/s go with 3.35e12 bytes/s, is bound by its memory where b is below 1,200; where it is
// 4096 the sum moves in a third of the product's time, under it. A tensor rank's shard of V changes nothing
// of that. Logits are bounded by what the largest vocabularies of today, 262,144 words, take in bf16. Blocks
// are of one size but for the last, so that none is left with few rows, and of whole tiles of a product.
std::int64_t gpu_head_block(std::int64_t tokens, std::int64_t row_bytes) {
  constexpr std::int64_t kLogitBytes = std::int64_t{2} << 30, kTokens = 4096, kTile = 128;
  const std::int64_t most = std::clamp<std::int64_t>(kLogitBytes / row_bytes, 1, kTokens);
  const std::int64_t blocks = (tokens + most - 1) / most, each = (tokens + blocks - 1) / blocks;
  return std::min({tokens, most, (each + kTile - 1) / kTile * kTile});
}

}  // namespace

std::int64_t head_block(const ModelSpec& model, const Sharding& sharding, BatchShape batch,
                        Precision precision, Device::Kind device) {
  const std::int64_t row = model.padded_vocabulary(sharding) / sharding.tensor *
                           static_cast<std::int64_t>(size_of(precision.compute));
  return device == Device::Kind::cpu ? cpu_head_block(batch.tokens(), row)
                                     : gpu_head_block(batch.tokens(), row);
}

std::vector<ActivationSpec> head_activations(const ModelSpec& model, const Sharding& sharding,
                                             BatchShape batch, Precision precision, Device::Kind device) {
  const std::int64_t tokens = batch.tokens(), local = sharding.local_tokens(tokens), hidden = model.hidden;
  const std::int64_t block = head_block(model, sharding, batch, precision, device);
  const std::int64_t shard = model.padded_vocabulary(sharding) / sharding.tensor;
  const DType compute = precision.compute, statistics = precision.accumulate;
  const bool cut = sharding.sequence_parallel;
  std::vector<ActivationSpec> list;
  list.push_back({"input", {local, hidden}, compute, forward, until_input_gradient, never});
  list.push_back({"norm.rstd", {local}, statistics, forward, until_input_gradient, never});
  list.push_back({"norm.out", {local, hidden}, compute, forward, scratch, never});
  if (cut) list.push_back({"norm.all", {tokens, hidden}, compute, forward, scratch, never});
  list.push_back({"logits", {block, shard}, compute, forward, scratch, never});
  list.push_back({"statistics", {block, 3}, statistics, forward, scratch, never});
  if (sharding.tensor > 1)
    list.push_back({"statistics.all", {sharding.tensor * block, 3}, statistics, forward, scratch, never});
  // Taken in forward, with the loss; backward turns it into the gradient of `input`.
  if (cut) list.push_back({"d_norm.all", {tokens, hidden}, compute, forward, scratch, never});
  list.push_back({"d_norm", {local, hidden}, compute, forward, until_input_gradient, never});
  return list;
}

}  // namespace headwater
