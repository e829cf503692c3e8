#pragma once
// A tensor that a unit writes while it computes one micro-batch, and how long it must live. The blocks of the
// unit declare theirs (nn/unit_description.h). layout/arena_layout.h adds the declarations up for the arena
// and the memory table, and stage/slot_memory.h takes the tensors; nobody else knows how much memory a unit
// takes.

#include "headwater/model/model_spec.h"
#include "headwater/model/recompute.h"
#include "headwater/tensor/device.h"
#include "headwater/tensor/dtype.h"
#include "headwater/tensor/shape.h"

#include <string>
#include <vector>

namespace headwater {

// The number formats of a run: activations and weights in `compute`; statistics, gradients of parameters,
// master weights and moments in `accumulate`. {f32, f32}, {bf16, f32}; tests run {f64, f64} on the reference
// catalogue.
struct Precision {
  DType compute = DType::f32;
  DType accumulate = DType::f32;
  bool operator==(const Precision&) const = default;
};

// One micro-batch as one rank sees it: B samples of S tokens, T = B·S.
struct BatchShape {
  std::int64_t samples = 0;   // B
  std::int64_t sequence = 0;  // S
  std::int64_t tokens() const { return samples * sequence; }
  bool operator==(const BatchShape&) const = default;
};

enum class Pass : std::uint8_t { forward, backward };

// `scratch` is dead when the unit's pass ends, so all units share its memory. The others live until the
// unit's input gradient, or its weight gradient, has been taken; which memory that needs, and when,
// layout/tensor_home.h says. `between_gradients` is the caller's tensor where backward is taken whole, and
// needs memory of its own only from the input gradient to a weight gradient that is taken apart.
enum class Kept : std::uint8_t { scratch, until_input_gradient, until_weight_gradient, between_gradients };

// Which kinds of recomputation drop it after forward; backward computes it again before it begins.
enum class Dropped : std::uint8_t { never, by_full, by_selective };  // by_selective: by full too

constexpr bool drops(Recompute recompute, Dropped dropped) {
  return recompute == Recompute::full ? dropped != Dropped::never
                                      : recompute == Recompute::selective && dropped == Dropped::by_selective;
}

struct ActivationSpec {
  std::string name;  // "attention.lse", unique within the unit
  Shape shape;
  DType dtype;
  Pass made = Pass::forward;
  Kept kept = Kept::scratch;
  Dropped dropped = Dropped::by_full;
};

}  // namespace headwater
