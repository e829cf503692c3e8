#include "attention_cost.h"

namespace headwater {
namespace {

// How often forward moves the scores: it writes them; softmax, which also scales and masks, reads them and
// writes probabilities; the product with V reads those. Dropout reads and writes the probabilities and writes
// a mask, which has one byte where a score has two.
constexpr double kForwardMoves = 4.0, kDropoutMoves = 2.5;
// How often backward moves them: the gradient of V reads the probabilities; the probabilities' gradient is
// written; softmax reads both and writes the scores' gradient, which two products read. Dropout moves as much
// as in forward, but reads its mask.
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
