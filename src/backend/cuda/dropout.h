#pragma once
// Dropout as kernels take it (backend.h, `Dropout`).

#include "headwater/backend/backend.h"

#include "operands.h"

namespace headwater::cuda {

kernels::DropoutMask mask_of(const Dropout& dropout, std::int64_t samples);
// The same for the rows of x: whole samples, or a part of the tokens of some.
kernels::RowDropout mask_of_rows(const Dropout& dropout, const TensorView& x);

}  // namespace headwater::cuda
