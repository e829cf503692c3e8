#pragma once
// Final norm, head and cross-entropy, block by block over tokens (the paper's block-wise cross-entropy, §3.4): the logits of
// a block exist only while its loss and its gradients are taken, all in forward, so at most block × V of them ever do.

#include "headwater/nn/block.h"
#include "headwater/nn/carver.h"

#include <functional>

namespace headwater {

class Head {
 public:
  struct Tensors {
    explicit Tensors(const NamedTensors& named);
    TensorView input, rstd, normed, logits, statistics, d_normed;
  };

  Head(const ModelSpec& model, ParameterStore& store);

  // Adds the micro-batch's losses to `scalars`, and takes the gradients of the head's weight and of its input (kept for
  // backward()). scalars[targets] is set before.
  void forward(const BlockContext& context, const Tensors& t, TensorView scalars) const;
  // The gradient of t.input.
  void backward(const BlockContext& context, const Tensors& t, TensorView d_input) const;

  // The losses alone.
  void evaluate(const BlockContext& context, const Tensors& t, TensorView scalars) const;
  // The logits [n, V], V without padding, of n rows after the other from row `first`; each block goes to `sink` with the
  // number of its first row.
  void logits(const BlockContext& context, const Tensors& t, std::int64_t first,
              const std::function<void(std::int64_t row, TensorView block)>& sink) const;

 private:
  void norm(const BlockContext& context, const Tensors& t) const;
  // Calls `body(begin, count)` for each block of rows.
  template <class Body>
  void for_blocks(std::int64_t first, std::int64_t rows, std::int64_t block, Body body) const;

  std::int64_t vocabulary_;
  double epsilon_;
  Linear head_;
  TensorView gain_, d_gain_;
};

}  // namespace headwater
