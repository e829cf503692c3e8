#pragma once
// The MLP: down(activation(up u)), or down(activation(gate u, up u)) with gate and up as one product. Among
// tensor ranks gate and up are cut by their outputs, each for itself, down by its inputs, and its partial
// results are summed.

#include "headwater/nn/activation.h"
#include "headwater/nn/block.h"

#include <memory>

namespace headwater {

class Mlp {
 public:
  struct Options {
    std::string prefix;       // of its parameters: "layers.3."
    std::int64_t hidden = 0;  // H
    std::int64_t ffn = 0;     // F
    double init_std = 0.0;    // of gate and up
    double output_std = 0.0;  // of down
    TensorId input;           // u: what the norm before it gives
    BranchTensors branch;
  };
  Mlp(UnitDescription& description, const Options& options, std::unique_ptr<Activation> activation);

  ProductId output() const { return down_; }  // whose weight gradient reads that of the branch

  // u → up to the activation.
  void activate(const BlockContext& context) const;
  // The activation → the branch.
  TensorView project(const BlockContext& context) const;
  // Makes again what selective recomputation dropped: the activation.
  void recompute(const BlockContext& context) const;
  // The gradient of the branch → the gradient of u.
  TensorView backward(const BlockContext& context, TensorView d_branch) const;

 private:
  std::unique_ptr<Activation> activation_;
  TensorId input_;
  BranchTensors branch_;
  ProductId up_, down_;
  TensorId d_branch_all_;
  Gathered gathered_;
  TensorId up_out_, activated_;
  TensorId d_activated_, d_up_, d_input_, d_input_shard_;
};

}  // namespace headwater
