#pragma once
// The arguments of every block's forward and backward, and the pieces that blocks share.
//
// A block is written once: it calls ops (backend/ops.h) and knows neither device nor layout. Its constructor
// declares what it needs (unit_description.h); its backward stands beside its forward.

#include "headwater/backend/backend.h"
#include "headwater/nn/tensor_ranks.h"
#include "headwater/nn/unit_description.h"

#include <vector>

namespace headwater {

// One micro-batch on the device, as a stage takes it from the stream. Arrays that no unit of the stage reads
// (UnitDescription::batch_arrays) are empty.
struct MicroBatch {
  BatchShape shape;
  TensorView tokens, labels, position, attention_start, lfa_start;  // i32 [T]
  TensorView dropout_keys;                                          // i32 [B, 2]
  // Index of row 0 on the axis that the starts count on: tokens cached so far, 0 in training.
  std::int64_t first = 0;
};

// Weight-gradient products that backward has put off. They are drained at once after a unit's backward; where
// a schedule takes the two gradients apart each micro-batch has a list of its own, which its weight gradient
// drains. What a product names must live until then (model/activation_spec.h, until_weight_gradient).
class DeferredProducts {
 public:
  void add(const op::LinearWeightGradient& product) { products_.push_back(product); }
  void drain(Backend& backend);
  void clear() { products_.clear(); }

 private:
  std::vector<op::LinearWeightGradient> products_;
};

// A linear's weight c [N, K] and where its gradient goes, a [N, K] (empty without training, and where the
// weight is not trained).
struct Linear {
  TensorView weight, gradient;
};

// The memory on this rank that the ids of a unit's parameters, products and constants stand for.
struct UnitMemory {
  // By ParameterId. Gradients are empty without training, and of what is not trained.
  std::vector<TensorView> weights, gradients;
  std::vector<Linear> products;       // by ProductId
  std::vector<TensorView> constants;  // by ConstantId
};

struct BlockContext {
  Backend& backend;
  const MicroBatch& batch;
  const TensorRanks& ranks;
  const UnitMemory& unit;
  const std::vector<TensorView>& tensors;           // by TensorId, of this pass and its slots
  bool training = false;                            // dropout is on
  DeferredProducts* deferred = nullptr;             // backward
  const std::vector<TensorView>* caches = nullptr;  // by CacheId; generation

  // The tensor of that id; empty where it was not declared.
  TensorView operator[](TensorId id) const {
    return id ? tensors[static_cast<std::size_t>(id.index)] : TensorView();
  }
  TensorView weight(ParameterId id) const { return unit.weights[static_cast<std::size_t>(id.index)]; }
  TensorView gradient(ParameterId id) const { return unit.gradients[static_cast<std::size_t>(id.index)]; }
  const Linear& linear(ProductId id) const { return unit.products[static_cast<std::size_t>(id.index)]; }
  TensorView constant(ConstantId id) const { return unit.constants[static_cast<std::size_t>(id.index)]; }
  TensorView cache(CacheId id) const { return (*caches)[static_cast<std::size_t>(id.index)]; }

  Borders attention_borders() const { return {batch.attention_start, batch.first}; }
  Borders lfa_borders() const { return {batch.lfa_start, batch.first}; }
  // Dropout of unit `unit_number`; `place` tells the unit's ops from each other, 0 to 3.
  Dropout dropout_at(double probability, int unit_number, int place) const {
    return {training ? probability : 0.0,
            static_cast<std::uint64_t>(unit_number) * 4 + static_cast<std::uint64_t>(place),
            batch.dropout_keys, batch.shape.sequence, ranks.first_token(batch.shape.tokens())};
  }

  // TensorRanks' on this block's queue.
  TensorView gather(TensorView shard, TensorView all) const {
    return ranks.gather(backend.queue(), shard, all);
  }
  // The tokens of all ranks in backward, for weight gradients. Where those are cut and no weight gradient
  // reads them, `again` is absent, and the result empty.
  TensorView gather_again(TensorView shard, TensorId again) const {
    return ranks.sharding().sequence_parallel && !again ? TensorView() : gather(shard, (*this)[again]);
  }
  TensorView sum(TensorView partial, TensorView shard) const {
    return ranks.sum(backend.queue(), partial, shard);
  }
};

// y = x wᵀ.
void linear_forward(const BlockContext& context, const Linear& linear, TensorView x, TensorView y);
// dx = dy w, or dx += dy w, now; dw += dyᵀ x later, where the weight is trained; else x is not read.
void linear_backward(const BlockContext& context, const Linear& linear, TensorView dy, TensorView x,
                     TensorView dx, bool accumulate = false);

// The tensors through which a product gets the tokens of all ranks where they are cut; absent elsewhere.
struct Gathered {
  TensorId all;    // in forward
  TensorId again;  // in backward, for weight gradients; absent where there are none
  Gathered() = default;
  // `trained` says whether any weight gradient reads them.
  Gathered(UnitDescription& description, const std::string& name, std::int64_t columns, bool trained);
};

// Where a branch of the residual stream, which is a sum over the ranks that share the unit, is written; of
// all branches of a unit, as each is added to the stream before the next is taken.
struct BranchTensors {
  TensorId partial;  // [T, H]
  TensorId shard;    // this rank's tokens of the sum, where they are cut
};

}  // namespace headwater
