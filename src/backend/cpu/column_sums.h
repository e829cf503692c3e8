#pragma once
// Sums over rows, for the gradients of gains and biases: each thread sums its own rows, then the partial sums
// are added in the order of the threads.

#include "parallel.h"
#include "workspace.h"

namespace headwater::cpu {

// total[i] += Σ over rows of what add_rows(begin, end, partial) adds to partial[i]. Where the sum is not
// wanted and only what add_rows does besides, `total` is null.
template <class AddRows>
void sum_columns(int threads, std::int64_t rows, std::int64_t columns, Scratch scratch, float* total,
                 const AddRows& add_rows) {
  constexpr std::int64_t kLine = Scratch::kAlign / static_cast<std::int64_t>(sizeof(float));
  const std::int64_t stride = (columns + kLine - 1) / kLine * kLine;
  float* partials = scratch.take<float>(threads * stride);
  parallel_parts(threads, rows, [&](std::int64_t begin, std::int64_t end, int part) {
    float* partial = partials + part * stride;
    std::fill_n(partial, columns, 0.0F);
    add_rows(begin, end, partial);
  });
  if (total == nullptr) return;
  for (int part = 0; part < threads; ++part)
    for (std::int64_t i = 0; i < columns; ++i) total[i] += partials[part * stride + i];
}

}  // namespace headwater::cpu
