#pragma once
// One op of the catalogue, of whichever kind: what recorders keep, and benchmarks and tests run again on
// other operands.

#include "headwater/backend/backend.h"

#include <variant>

namespace headwater {

#define HEADWATER_ALTERNATIVE(Op) , op::Op
using AnyOp = std::variant<std::monostate HEADWATER_OPS(HEADWATER_ALTERNATIVE)>;
#undef HEADWATER_ALTERNATIVE

// Calls f(op) with the op that `any` holds, which may be changed where `any` may; empty ones are passed over.
template <class Any, class F>
void with_op(Any& any, const F& f) {
  std::visit(
      [&](auto& op) {
        if constexpr (!std::is_same_v<std::remove_cvref_t<decltype(op)>, std::monostate>) f(op);
      },
      any);
}

const char* name_of(const AnyOp& any);
double flops_of(const AnyOp& any);
double bytes_of(const AnyOp& any);
void run(Backend& backend, const AnyOp& any);

}  // namespace headwater
