#pragma once
// The taps of localized filtering as kernels take them (ops.h, `LfaTaps`).

#include "headwater/backend/ops.h"

#include "operands.h"

namespace headwater::cuda {

inline kernels::LfaBorders lfa_borders(const Borders& borders, std::int64_t samples) {
  return {data_of<const std::int32_t>(borders.start), borders.offset, borders.start.elements() / samples};
}

template <class T>
kernels::Taps<T> taps_of(const op::LfaTaps& o) {
  return {rows_of<const T>(o.products), rows_of<const T>(o.before), data_of<const T>(o.bias),
          rows_of<const T>(o.residual)};
}

}  // namespace headwater::cuda
