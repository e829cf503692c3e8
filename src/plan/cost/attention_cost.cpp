#include "attention_cost.h"

namespace headwater {
namespace {

// Forward writes the scores; softmax, which scales and masks too, reads them and writes probabilities; the
// product with V reads those. Dropout reads, writes, and writes a mask of one byte where a score has two.
constexpr double kForwardMoves = 4.0, kDropoutMoves = 2.5;
// Backward: the gradient of V reads the probabilities; theirs is written; softmax reads both and writes that
// of the scores, which two products read. Dropout as in forward, its mask read.
constexpr double kBackwardMoves = 7.0;

}  // namespace

AttentionCost fused_attention_cost(const LayerSpec& layer, const RankWork& work, Pass pass) {
  const double tokens = static_cast<double>(work.batch.tokens()) / static_cast<double>(work.sharding.tensor);
  const double forward = forward_flops_per_token(layer, work.batch.sequence).attention * tokens;
  return {pass == Pass::forward ? forward : 2.5 * forward, 0.0};
}

AttentionCost whole_scores_cost(const LayerSpec& layer, const RankWork& work, Pass pass) {
  const auto sequence = static_cast<double>(work.batch.sequence),
             samples = static_cast<double>(work.batch.samples);
  const double heads = static_cast<double>(layer.heads) / static_cast<double>(work.sharding.tensor);
  const double scores = samples * heads * sequence * sequence;
  const double products = 2.0 * 2.0 * scores * static_cast<double>(layer.head_dim);
  const double moves = (pass == Pass::forward ? kForwardMoves : kBackwardMoves) +
                       (layer.attention_dropout > 0.0 ? kDropoutMoves : 0.0);
  return {pass == Pass::forward ? products : 2.0 * products,
          moves * scores * static_cast<double>(size_of(work.precision.compute))};
}

}  // namespace headwater
