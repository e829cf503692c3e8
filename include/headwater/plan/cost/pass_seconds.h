#pragma once
// How long the passes of one unit, or of a whole stage, take on one device for one micro-batch. Seconds.

namespace headwater {

struct ActionSeconds {
  double compute = 0.0, recompute = 0.0, tensor_communication = 0.0;
  double total() const { return compute + recompute + tensor_communication; }
  ActionSeconds& operator+=(const ActionSeconds& other);
};

// A backward that is taken whole is both gradients, one after the other. What backward computes again is
// part of the input gradient.
struct PassSeconds {
  ActionSeconds forward, input_gradient, weight_gradient;
  double total() const { return forward.total() + input_gradient.total() + weight_gradient.total(); }
  PassSeconds& operator+=(const PassSeconds& other);
};

}  // namespace headwater
