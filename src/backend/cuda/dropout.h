#pragma once
// Dropout as kernels take it (op_arguments.h, `Dropout`).

#include "headwater/backend/op_arguments.h"

#include "operands.h"

namespace headwater::cuda {

kernels::DropoutMask mask_of(const Dropout& dropout);
// The same for a matrix of `rows` rows: whole samples, or a part of the tokens of some.
kernels::RowDropout mask_of_rows(const Dropout& dropout, std::int64_t rows);

}  // namespace headwater::cuda
