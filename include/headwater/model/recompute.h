#pragma once
// A layer's backward may compute tensors again instead of finding them in the slot of its micro-batch
// (ActivationSpec's `Dropped` says which ones it may).

#include <cstdint>

namespace headwater {

enum class Recompute : std::uint8_t {
  none,
  selective,  // norms, the activation, attention's internals
  full        // everything from the unit's input, but for the last product, which no gradient needs
};

}  // namespace headwater
