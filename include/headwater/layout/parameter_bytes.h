#pragma once
// The bytes that a rank holds of each parameter.

#include "headwater/model/activation_spec.h"

#include <cstdint>

namespace headwater {

// A rank holds weight and gradient of every parameter that lies on it, and master and both moments of those
// that it updates. In fp32 the weight is its own master.
struct ParameterBytes {
  ParameterBytes(Precision precision, bool training)
      : weight(static_cast<std::int64_t>(size_of(precision.compute))) {
    if (!training) return;
    gradient = moment = static_cast<std::int64_t>(size_of(precision.accumulate));
    if (precision.compute != precision.accumulate) master = gradient;
  }
  std::int64_t weight, gradient = 0, master = 0, moment = 0;  // moment: each of the two

  std::int64_t held() const { return weight + gradient; }
  std::int64_t updated() const { return master + 2 * moment; }
};

}  // namespace headwater
