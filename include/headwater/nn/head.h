#pragma once
// Final norm, head and cross-entropy, block by block over tokens (the paper's block-wise cross-entropy,
// §3.4): the logits of a block exist only while its loss and its gradients are taken, all in forward, so at
// most block × V of them ever do. Among tensor ranks the vocabulary is shared out: each has its columns of
// the logits, and the softmax is joined from everybody's statistics (Narayanan et al., SC 2021, call it
// parallel cross-entropy).

#include "headwater/nn/norm.h"

#include <functional>

namespace headwater {

using LogitSink = std::function<void(std::int64_t row, std::int64_t column, TensorView block)>;

class Head {
 public:
  explicit Head(const UnitSite& site);

  const UnitDescription& description() const { return description_; }
  // The head's own tensor of its input; absent where another stage sends it.
  TensorId input() const { return input_; }

  // All of these read the same `input`, the residual stream c [T, H] of this rank's tokens.

  // Adds the micro-batch's losses to `scalars`, and takes the gradients of the head's weight, where that is
  // trained, and of its input (kept for backward()). scalars[targets] is set before.
  void forward(const BlockContext& context, TensorView input, TensorView scalars) const;
  // The gradient of `input`.
  void backward(const BlockContext& context, TensorView input, TensorView d_input) const;

  // The losses alone.
  void evaluate(const BlockContext& context, TensorView input, TensorView scalars) const;
  // The logits of the rows from `first` on: this rank's columns of V, without padding. Each block goes to
  // `sink` with the numbers of its first row and column.
  void logits(const BlockContext& context, TensorView input, std::int64_t first, const LogitSink& sink) const;

 private:
  TensorView norm(const BlockContext& context, TensorView input) const;  // → the normed rows of all tokens
  // Logits of these rows, and the statistics of their softmax over the whole vocabulary.
  struct Block {
    TensorView logits, statistics;
  };
  Block softmax(const BlockContext& context, TensorView normed, TensorView labels) const;
  // This rank's first row of the vocabulary, and how many of its rows are not padding.
  std::int64_t first_word(const BlockContext& context) const;
  std::int64_t words(const BlockContext& context) const;
  // Calls `body(begin, count)` for each block of rows.
  template <class Body>
  void for_blocks(std::int64_t first, std::int64_t rows, std::int64_t block, Body body) const;

  UnitDescription description_;
  std::int64_t vocabulary_;
  TensorId input_;
  Norm norm_;
  ProductId head_;
  TensorId normed_all_, logits_, statistics_, statistics_all_, d_normed_all_, d_normed_;
};

// Tokens per block of the head's cross-entropy, at most T. On the CPU logits stay near 8 MiB, or 256 tokens.
// On a GPU blocks are of one size but for the last, as large as 4096 tokens and 2 GiB of logits allow.
std::int64_t head_block(const ModelSpec& model, const Sharding& sharding, BatchShape batch,
                        Precision precision, Device::Kind device);

}  // namespace headwater
