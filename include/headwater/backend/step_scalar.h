#pragma once
// The few numbers of a training step that stay on the device.

#include <cstdint>

namespace headwater {

// The scalars of a step, f64 on the device, so that the host need not wait between loss, norm, clipping and
// update.
enum class StepScalar : std::uint8_t {
  loss_sum,       // Σ of the losses of unmasked targets (this rank, then all)
  norm_squared,   // Σ g² of what this rank speaks for, then of all
  targets,        // number of unmasked targets of the global batch
  learning_rate,  // of this step
  updates,        // updates applied so far: t of the bias correction
  clip_factor,    // min(1, clip / (norm + 1e-6)); 1 where clipping is off
  apply,          // 1: update; 0: loss or norm is not finite, the update is skipped
  count
};
inline constexpr std::int64_t kStepScalars = static_cast<std::int64_t>(StepScalar::count);

}  // namespace headwater
