#pragma once
// Sums over rows (gradients of gains and biases), always in the same order: row_groups(rows) groups of rows
// each write their own sums, group g those of rows g, g + groups, …; then the groups' sums are added up in
// the order of the groups.

#include "kernels.h"

namespace headwater::kernels {

// Rows of a group at least, and groups at most: four blocks on each of an H100's 132 multiprocessors.
constexpr std::int64_t kRowsOfGroup = 16, kMaxGroups = 132 * 4;

inline std::int64_t row_groups(std::int64_t rows) {
  const std::int64_t groups = (rows + kRowsOfGroup - 1) / kRowsOfGroup;
  return groups < kMaxGroups ? groups : kMaxGroups;
}

// total[c] += Σ over groups of partials[group, c]; partials dense [groups, columns].
void add_column_sums(const float* partials, std::int64_t groups, std::int64_t columns, float* total,
                     cudaStream_t stream);

}  // namespace headwater::kernels
