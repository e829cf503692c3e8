#include "headwater/nn/head.h"

#include "headwater/nn/make_blocks.h"

#include "vocabulary.h"

#include <algorithm>

namespace headwater {
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
  if (batch.tokens() == 0) return 0;
  const std::int64_t row = model.padded_vocabulary(sharding) / sharding.tensor *
                           static_cast<std::int64_t>(size_of(precision.compute));
  return device == Device::Kind::cpu ? cpu_head_block(batch.tokens(), row)
                                     : gpu_head_block(batch.tokens(), row);
}

// Backward turns d_norm, which is taken in forward with the loss, into the gradient of the input. Nothing is
// recomputed.
Head::Head(const UnitSite& site)
    : description_(site),
      vocabulary_(site.model.vocabulary),
      input_(description_.input_tensor(site.model.hidden)),
      norm_(make_norm(description_, site.model.final_norm,
                      {.parameter = "final_norm",
                       .name = "norm",
                       .out = "norm.out",
                       .columns = site.model.hidden,
                       .epsilon = site.model.norm_epsilon,
                       .out_kept = Kept::scratch,
                       .dropped = Dropped::never})) {
  UnitDescription& d = description_;
  d.reads(BatchArray::labels);
  head_ = site.model.tied ? d.product("head", "embedding.weight")
                          : d.product("head", vocabulary_matrix(d, site.model, "head.weight"));
  const std::int64_t hidden = site.model.hidden, ranks = d.sharding().tensor,
                     block = head_block(site.model, d.sharding(), d.batch(), site.precision, site.device),
                     shard = site.model.padded_vocabulary(d.sharding()) / ranks;
  const Shape all{d.tokens(), hidden}, local{d.local_tokens(), hidden};
  const auto add = [&](const char* name, Shape shape, DType dtype, Kept kept = Kept::scratch) {
    return d.forward_tensor(name, shape, dtype, kept, Dropped::never);
  };
  if (d.tokens_are_cut()) normed_all_ = add("norm.all", all, d.compute());
  logits_ = add("logits", {block, shard}, d.compute());
  statistics_ = add("statistics", {block, 3}, d.accumulate());
  if (d.several()) statistics_all_ = add("statistics.all", {ranks * block, 3}, d.accumulate());
  if (d.tokens_are_cut()) d_normed_all_ = add("d_norm.all", all, d.compute());
  d_normed_ = add("d_norm", local, d.compute(), Kept::until_input_gradient);
}

std::int64_t Head::first_word(const BlockContext& context) const {
  return context.ranks.rank() * context.linear(head_).weight.rows();
}

std::int64_t Head::words(const BlockContext& context) const {
  return std::clamp<std::int64_t>(vocabulary_ - first_word(context), 0, context.linear(head_).weight.rows());
}

TensorView Head::norm(const BlockContext& context, TensorView input) const {
  return context.gather(norm_.forward(context, input), context[normed_all_]);
}

template <class Body>
void Head::for_blocks(std::int64_t first, std::int64_t rows, std::int64_t block, Body body) const {
  for (std::int64_t begin = first; begin < rows; begin += block) body(begin, std::min(block, rows - begin));
}

Head::Block Head::softmax(const BlockContext& context, TensorView normed, TensorView labels) const {
  Backend& b = context.backend;
  const std::int64_t rows = normed.rows();
  const Block block{context[logits_].rows(0, rows), context[statistics_].rows(0, rows)};
  linear_forward(context, context.linear(head_), normed, block.logits);
  b.run(op::SoftmaxStatistics{.logits = block.logits,
                              .labels = labels,
                              .first = first_word(context),
                              .valid = words(context),
                              .statistics = block.statistics});
  if (context.ranks.several()) {
    const TensorView all = context[statistics_all_].rows(0, context.ranks.sharding().tensor * rows);
    context.ranks.gather_all(b.queue(), block.statistics, all);
    b.run(op::CombineStatistics{.shards = all, .statistics = block.statistics});
  }
  return block;
}

void Head::forward(const BlockContext& context, TensorView input, TensorView scalars) const {
  Backend& b = context.backend;
  const Linear& head = context.linear(head_);
  const TensorView all = norm(context, input), d_all = context[d_normed_all_ ? d_normed_all_ : d_normed_];
  for_blocks(0, all.rows(), context[logits_].rows(), [&](std::int64_t begin, std::int64_t count) {
    const TensorView normed = all.rows(begin, count), labels = context.batch.labels.rows(begin, count);
    const Block block = softmax(context, normed, labels);
    b.run(op::CrossEntropyBackward{.logits = block.logits,
                                   .labels = labels,
                                   .first = first_word(context),
                                   .valid = words(context),
                                   .statistics = block.statistics,
                                   .scalars = scalars});
    b.run(op::LinearInputGradient{.dy = block.logits, .w = head.weight, .dx = d_all.rows(begin, count)});
    if (head.gradient) b.run(op::LinearWeightGradient{.dy = block.logits, .x = normed, .dw = head.gradient});
  });
  context.sum(d_all, context[d_normed_]);
}

void Head::backward(const BlockContext& context, TensorView input, TensorView d_input) const {
  norm_.backward(context, context[d_normed_], input, {}, d_input);
}

void Head::evaluate(const BlockContext& context, TensorView input, TensorView scalars) const {
  const TensorView all = norm(context, input);
  for_blocks(0, all.rows(), context[logits_].rows(), [&](std::int64_t begin, std::int64_t count) {
    const TensorView labels = context.batch.labels.rows(begin, count);
    const Block block = softmax(context, all.rows(begin, count), labels);
    context.backend.run(
        op::CrossEntropyLoss{.labels = labels, .statistics = block.statistics, .scalars = scalars});
  });
}

void Head::logits(const BlockContext& context, TensorView input, std::int64_t first,
                  const LogitSink& sink) const {
  const TensorView all = norm(context, input);
  for_blocks(first, all.rows(), context[logits_].rows(), [&](std::int64_t begin, std::int64_t count) {
    const TensorView logits = context[logits_].rows(0, count);
    linear_forward(context, context.linear(head_), all.rows(begin, count), logits);
    sink(begin, first_word(context), logits.slice_columns(0, words(context)));
  });
}

}  // namespace headwater
