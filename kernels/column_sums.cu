// The second stage of sums over rows: 32 columns and 32 ranges of groups a block.

#include "column_sums.cuh"
#include "launch.cuh"

namespace headwater::kernels {
namespace {

constexpr int kColumns = 32, kRanges = 32;

__global__ void __launch_bounds__(kColumns* kRanges)
    column_sums_kernel(const float* partials, std::int64_t groups, std::int64_t columns, float* total) {
  SHARED_ARRAY(float, sums, [kRanges][kColumns]);
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  float sum = 0.0F;
  if (column < columns) {
    for (std::int64_t group = threadIdx.y; group < groups; group += kRanges)
      sum += partials[group * columns + column];
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y == 0 && column < columns) {
    for (int range = 1; range < kRanges; ++range) sum += sums[range][threadIdx.x];
    total[column] += sum;
  }
}

}  // namespace

void add_column_sums(const float* partials, std::int64_t groups, std::int64_t columns, float* total,
                     cudaStream_t stream) {
  launch(column_sums_kernel, static_cast<unsigned>((columns + kColumns - 1) / kColumns),
         dim3(kColumns, kRanges), 0, stream, partials, groups, columns, total);
}

}  // namespace headwater::kernels
