#pragma once
// How the ranks of one pipeline stage cut its tensors. What `parameters`, `activations` and the layouts of memory depend on
// beside the model; resolved once per run.

#include <cstdint>

namespace headwater {

struct Sharding {
  std::int64_t tensor = 1;  // ranks of the tensor axis
  bool operator==(const Sharding&) const = default;
};

}  // namespace headwater
