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

AttentionCost whole_scores_cost(const AttentionArguments& args, double products_of_scores, double moves) {
  const auto scores = static_cast<double>(args.samples * args.q.shape[1] * args.queries() * args.keys());
  if (args.dropout.on()) moves += kDropoutMoves;
  return {products_of_scores * 2.0 * scores * static_cast<double>(args.q.shape[2]),
          moves * scores * static_cast<double>(size_of(args.q.dtype))};
}

}  // namespace

AttentionCost fused_attention_cost(const AnyOp& op) {
  if (const auto* forward = std::get_if<op::Attention>(&op)) return {forward->flops(), 0.0};
  if (const auto* backward = std::get_if<op::AttentionBackward>(&op)) return {backward->flops(), 0.0};
  return {};
}

AttentionCost whole_scores_cost(const AnyOp& op) {
  if (const auto* forward = std::get_if<op::Attention>(&op))
    return whole_scores_cost(forward->of, 2.0, kForwardMoves);
  if (const auto* backward = std::get_if<op::AttentionBackward>(&op))
    return whole_scores_cost(backward->of, 4.0, kBackwardMoves);
  return {};
}

}  // namespace headwater
