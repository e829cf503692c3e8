#pragma once
// How attention learns where its queries and keys stand.

#include "headwater/nn/block.h"

namespace headwater {

class Positions {
 public:
  virtual ~Positions() = default;
  // Changes queries and keys in place, c [T, A + G, D]; backward changes their gradients likewise.
  virtual void forward(const BlockContext& context, TensorView queries_and_keys) const = 0;
  virtual void backward(const BlockContext& context, TensorView d_queries_and_keys) const = 0;
};

// RoPE (Su et al. 2021) over the whole head: pair i of D/2 turns by position · base^(−2i/D).
class RotaryPositions final : public Positions {
 public:
  // `positions`: how many a sample can have.
  RotaryPositions(UnitDescription& description, std::int64_t head_dim, double base, std::int64_t positions);

  void forward(const BlockContext& context, TensorView queries_and_keys) const override;
  void backward(const BlockContext& context, TensorView d_queries_and_keys) const override;

 private:
  ConstantId table_;
};

}  // namespace headwater
