#pragma once
// Operands of measurements: random numbers of both signs, as in training. On operands that are all equal,
// or all positive, fewer bits toggle from one product to the next, a chip draws less power, and many then run
// faster than they ever train.

#include "headwater/backend/backend.h"

#include <cstdint>
#include <vector>

namespace headwater {

enum class Signs : std::uint8_t { both, positive };

// About a MiB of words of 16 bits, always the same ones. Each reads as a number whose size is 2^-7 to 2^-3,
// as a bf16 or as the upper half of an f32: no product of such numbers comes near to overflowing.
std::vector<std::uint16_t> random_words(Signs signs);

// Fills a dense tensor of the backend's device with `pattern`, on the host and dense, again and again. The
// last copy may be a part of it.
void fill_again_and_again(Backend& backend, TensorView pattern, TensorView x);

// The same with random words. `x` is bf16 or f32.
void fill_randomly(Backend& backend, TensorView x, Signs signs = Signs::both);

}  // namespace headwater
