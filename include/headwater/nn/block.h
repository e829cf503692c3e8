#pragma once
// What every block's forward and backward are given, and the pieces that they share.
//
// A block is written once: it calls the op catalogue and knows neither device nor layout. Its backward stands
// beside its forward. Its tensors are found by name at start-up (carver.h), one set per slot.

#include "headwater/nn/parameter_store.h"
#include "headwater/nn/tensor_ranks.h"

#include <vector>

namespace headwater {

// One micro-batch on the device, as every stage takes it from the stream (data/batch.h says what the arrays
// mean).
struct MicroBatch {
  BatchShape shape;
  TensorView tokens, labels, position, attention_start, lfa_start;  // i32 [T]
  TensorView dropout_keys;                                          // i32 [B, 2]
  // index of row 0 on the axis that the starts count on: tokens cached so far, 0 in training
  std::int64_t first = 0;
};

// Weight-gradient products that backward has put off. Drained at once after a unit's backward; where a
// schedule takes the two gradients apart each micro-batch has a list of its own, which its weight gradient
// drains. What a product names must live until then (model/activation_spec.h, until_weight_gradient).
class DeferredProducts {
 public:
  void add(const op::LinearWeightGradient& product) { products_.push_back(product); }
  void drain(Backend& backend);
  void clear() { products_.clear(); }

 private:
  std::vector<op::LinearWeightGradient> products_;
};

// What a layer remembers of the tokens before, in generation (one sample).
struct LayerCache {
  TensorView keys, values;            // c [max tokens, G, D]
  TensorView last_input, last_conv1;  // LFA: c [1, H], c [1, C]
  TensorView before1, before2;        // LFA: their products with tap 0, c [1, C], c [1, H]
};

struct BlockContext {
  Backend& backend;
  const MicroBatch& batch;
  const TensorRanks& ranks;
  bool dropout = false;                  // training
  LayerCache* cache = nullptr;           // generation
  DeferredProducts* deferred = nullptr;  // backward

  Borders attention_borders() const { return {batch.attention_start, batch.first}; }
  Borders lfa_borders() const { return {batch.lfa_start, batch.first}; }
  Dropout dropout_at(double probability, int unit, int place) const {
    return {dropout ? probability : 0.0,
            static_cast<std::uint64_t>(unit) * 4 + static_cast<std::uint64_t>(place), batch.dropout_keys,
            batch.shape.sequence, ranks.first_token(batch.shape.tokens())};
  }

  // TensorRanks' on this block's queue.
  TensorView gather(TensorView shard, TensorView all) const {
    return ranks.gather(backend.queue(), shard, all);
  }
  TensorView sum(TensorView partial, TensorView shard) const {
    return ranks.sum(backend.queue(), partial, shard);
  }
};

// y = x wᵀ.
void linear_forward(const BlockContext& context, const Linear& linear, TensorView x, TensorView y);
// dx (+)= dy w now, dw += dyᵀ x later.
void linear_backward(const BlockContext& context, const Linear& linear, TensorView dy, TensorView x,
                     TensorView dx, bool accumulate = false);

}  // namespace headwater
