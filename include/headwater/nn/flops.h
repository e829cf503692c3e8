#pragma once
// Floating-point operations of a model, one definition for metrics, benchmarks and planner.
//
// A product of m × k by k × n counts 2mnk. Forward: every linear, both LFA convolutions (two taps each), the
// head without its padding, and the causal half of attention's two products. Not counted: embedding look-up,
// norms, element-wise work, recomputation. Model FLOPs of a training step are three times forward. MFU =
// model FLOPs / (time × peak).

#include "headwater/nn/unit_record.h"

namespace headwater {

// Returns the FLOPs of the whole unit's forward, per token of samples of `sequence` tokens.
Flops forward_flops_per_token(const ModelSpec& model, int unit, std::int64_t sequence);
// Returns the FLOPs of forward that backward repeats. Full recomputation repeats all but a layer's last
// product, which no gradient needs. Embedding and head repeat nothing.
Flops recompute_flops_per_token(const ModelSpec& model, int unit, std::int64_t sequence, Recompute recompute);
double model_flops_per_token(const ModelSpec& model, std::int64_t sequence);  // 3 × forward, all units

}  // namespace headwater
