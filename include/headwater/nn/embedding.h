#pragma once
// The embedding: a row of the table for each token. Among tensor ranks the vocabulary is shared out; each
// writes zero for the others' tokens, and the rows are summed.

#include "headwater/nn/block.h"

namespace headwater {

class Embedding {
 public:
  explicit Embedding(const UnitSite& site);

  const UnitDescription& description() const { return description_; }

  void forward(const BlockContext& context, TensorView out) const;  // c [T, H], of this rank's tokens
  // Does nothing where the table is not trained.
  void backward(const BlockContext& context, TensorView d_out) const;

 private:
  UnitDescription description_;
  ParameterId table_;
  TensorId out_all_, d_out_all_;  // of all tokens, where they are cut
};

}  // namespace headwater
