#pragma once
// The activation of an MLP: the function that it applies between its two products, element by element.

#include "headwater/backend/backend.h"

namespace headwater {

class Activation {
 public:
  virtual ~Activation() = default;

  // Whether a second projection multiplies what the activation gives: x then holds [gate | up].
  virtual bool gated() const = 0;
  // x c [T, F], or [T, 2F] where it is gated; out c [T, F].
  virtual void forward(Backend& backend, TensorView x, TensorView out) const = 0;
  virtual void backward(Backend& backend, TensorView d_out, TensorView x, TensorView dx) const = 0;
};

// silu(gate) ⊙ up (Shazeer 2020).
class SwigluActivation final : public Activation {
 public:
  bool gated() const override { return true; }
  void forward(Backend& backend, TensorView x, TensorView out) const override {
    backend.run(op::Swiglu{.x = x, .out = out});
  }
  void backward(Backend& backend, TensorView d_out, TensorView x, TensorView dx) const override {
    backend.run(op::SwigluBackward{.d_out = d_out, .x = x, .dx = dx});
  }
};

// A function of one projection, with no second one beside it.
class PlainActivation final : public Activation {
 public:
  explicit PlainActivation(op::ActivationFunction function) : function_(function) {}
  bool gated() const override { return false; }
  void forward(Backend& backend, TensorView x, TensorView out) const override {
    backend.run(op::Activation{.function = function_, .x = x, .out = out});
  }
  void backward(Backend& backend, TensorView d_out, TensorView x, TensorView dx) const override {
    backend.run(op::ActivationBackward{.function = function_, .d_out = d_out, .x = x, .dx = dx});
  }

 private:
  op::ActivationFunction function_;
};

}  // namespace headwater
