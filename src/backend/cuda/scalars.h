#pragma once
// The scalars of a step as kernels take them.

#include "headwater/backend/step_scalar.h"

#include "operands.h"

namespace headwater::cuda {

inline kernels::StepScalars step_scalars(const TensorView& scalars) {
  const auto at = [&](StepScalar which) {
    return data_of<double>(scalars) + static_cast<std::int64_t>(which);
  };
  kernels::StepScalars s;
  s.loss_sum = at(StepScalar::loss_sum);
  s.norm_squared = at(StepScalar::norm_squared);
  s.targets = at(StepScalar::targets);
  s.learning_rate = at(StepScalar::learning_rate);
  s.updates = at(StepScalar::updates);
  s.clip_factor = at(StepScalar::clip_factor);
  s.apply = at(StepScalar::apply);
  return s;
}

}  // namespace headwater::cuda
