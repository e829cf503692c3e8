#pragma once
// Final norm, head and cross-entropy, block by block over tokens (the paper's block-wise cross-entropy,
// §3.4): the logits of a block exist only while its loss and its gradients are taken, all in forward, so at
// most block × V of them ever do. Among tensor ranks the vocabulary is shared out: each has its columns of
// the logits, and the softmax is joined from everybody's statistics (Narayanan et al., SC 2021, call it
// parallel cross-entropy).

#include "headwater/nn/block.h"
#include "headwater/nn/carver.h"

#include <functional>

namespace headwater {

using LogitSink = std::function<void(std::int64_t row, std::int64_t column, TensorView block)>;

class Head {
 public:
  struct Tensors {
    explicit Tensors(const NamedTensors& named);
    TensorView input, rstd, normed, normed_all, logits, statistics, statistics_all, d_normed, d_normed_all;
  };

  Head(const ModelSpec& model, ParameterStore& store, const TensorRanks& ranks);

  // Adds the micro-batch's losses to `scalars`, and takes the gradients of the head's weight and of its input
  // (kept for backward()). scalars[targets] is set before.
  void forward(const BlockContext& context, const Tensors& t, TensorView scalars) const;
  // The gradient of t.input.
  void backward(const BlockContext& context, const Tensors& t, TensorView d_input) const;

  // The losses alone.
  void evaluate(const BlockContext& context, const Tensors& t, TensorView scalars) const;
  // The logits of n rows after the other from row `first`: this rank's columns of V, without padding. Each
  // block goes to `sink` with the numbers of its first row and column.
  void logits(const BlockContext& context, const Tensors& t, std::int64_t first, const LogitSink& sink) const;

 private:
  TensorView norm(const BlockContext& context, const Tensors& t) const;  // → the normed rows of all tokens
  // Logits of these rows, and the statistics of their softmax over the whole vocabulary.
  struct Block {
    TensorView logits, statistics;
  };
  Block softmax(const BlockContext& context, const Tensors& t, TensorView normed, TensorView labels) const;
  // Calls `body(begin, count)` for each block of rows.
  template <class Body>
  void for_blocks(std::int64_t first, std::int64_t rows, std::int64_t block, Body body) const;

  double epsilon_;
  Linear head_;
  // the first of this rank's rows of the vocabulary, and how many are not padding
  std::int64_t first_, valid_;
  TensorView gain_, d_gain_;
};

}  // namespace headwater
