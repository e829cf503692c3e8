#pragma once
// Sums over rows (gradients of gains and biases), always in the same order: row_groups(rows) groups of rows
// each write their own sums, group g those of rows g, g + groups, …; then the groups' sums are added up in
// the order of the groups.

#include "kernels.h"

namespace headwater::kernels {

// total[c] += Σ over groups of partials[group, c]; partials dense [groups, columns].
void add_column_sums(const float* partials, std::int64_t groups, std::int64_t columns, float* total,
                     cudaStream_t stream);

}  // namespace headwater::kernels
