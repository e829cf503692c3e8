#pragma once
// A filter makes, of the normed input of attention, what queries and keys see in its place.

#include "headwater/nn/block.h"

namespace headwater {

class Filter {
 public:
  virtual ~Filter() = default;

  // The tensor that forward() fills: c [T, H], with this rank's tokens where they are cut.
  virtual TensorId out() const = 0;

  // `x` are this rank's tokens of the normed input, `all` those of all ranks (the same where tokens are
  // whole); → out().
  virtual void forward(const BlockContext& context, TensorView x, TensorView all) const = 0;
  // Makes again what selective recomputation dropped.
  virtual void recompute(const BlockContext& context) const = 0;
  // The gradient of x from `d_out`, that of out(): the share that is complete on this rank is returned. Where
  // adds_to_partial(), the rest is this rank's part of a sum over the ranks, and is written to `d_partial`
  // [T, H].
  virtual TensorView backward(const BlockContext& context, TensorView x, TensorView all, TensorView d_out,
                              TensorView d_partial) const = 0;
  virtual bool adds_to_partial() const = 0;
};

}  // namespace headwater
