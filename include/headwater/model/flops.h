#pragma once
// Floating-point operations of a model, one definition for metrics, benchmarks and planner.
//
// A product of m × k by k × n counts 2mnk. Forward: every linear, both LFA convolutions (two taps each), the
// head, and the causal half of attention's two products. Not counted: embedding look-up, norms, element-wise
// work, recomputation. Model FLOPs of a training step are three times forward. MFU = model FLOPs / (time ×
// peak).

#include "headwater/model/activation_spec.h"

namespace headwater {

struct UnitFlops {
  double linear = 0.0;     // products with weights
  double attention = 0.0;  // scores and values, causal half
  double total() const { return linear + attention; }
};

UnitFlops forward_flops_per_token(const LayerSpec& layer, std::int64_t sequence);
// What backward repeats of forward: by full recomputation all but the layer's last product, which no gradient
// needs.
UnitFlops recompute_flops_per_token(const LayerSpec& layer, std::int64_t sequence, Recompute recompute);
UnitFlops head_flops_per_token(const ModelSpec& model);
double model_flops_per_token(const ModelSpec& model, std::int64_t sequence);  // 3 × forward, all units

}  // namespace headwater
