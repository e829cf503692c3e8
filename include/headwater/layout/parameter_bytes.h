#pragma once
// The bytes that a rank holds of each parameter.

#include "headwater/model/activation_spec.h"

#include <cstdint>

namespace headwater {

// A rank holds the weight of every parameter that lies on it, the gradient of those that are trained, and
// master and both moments of those that it updates. In fp32 the weight is its own master.
struct ParameterBytes {
  ParameterBytes(Precision precision, bool training)
      : weight(static_cast<std::int64_t>(size_of(precision.compute))) {
    if (!training) return;
    gradient = moment = static_cast<std::int64_t>(size_of(precision.accumulate));
    if (precision.compute != precision.accumulate) master = gradient;
  }
  std::int64_t weight, gradient = 0, master = 0, moment = 0;  // moment: each of the two

  std::int64_t updated() const { return master + 2 * moment; }
  // Bytes of `elements` weights, of which `trained` have a gradient, and `updated` a master and moments.
  std::int64_t of(std::int64_t elements, std::int64_t trained, std::int64_t updated) const {
    return elements * weight + trained * gradient + updated * this->updated();
  }
};

}  // namespace headwater
