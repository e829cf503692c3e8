// Transposition through a tile in shared memory, so that both sides are read and written along their rows.

#include "kernels.h"
#include "vector.cuh"

namespace headwater::kernels {
namespace {

constexpr int kTile = 32;
constexpr int kRowsAtOnce = 8;  // a block of 32 × 8 threads walks its tile in four steps

template <class T>
__global__ void __launch_bounds__(kTile* kRowsAtOnce)
    transpose_kernel(const T* __restrict__ from, T* __restrict__ to, std::int64_t rows,
                     std::int64_t columns) {
  SHARED_ARRAY(T, tile, [kTile][kTile + 1]);  // a column more: 32 rows of one column lie in 32 banks
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const std::int64_t column_tiles = (columns + kTile - 1) / kTile;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.x) / column_tiles * kTile;
  const std::int64_t first_column = static_cast<std::int64_t>(blockIdx.x) % column_tiles * kTile;
  for (int row = y; row < kTile; row += kRowsAtOnce) {
    if (first_row + row < rows && first_column + x < columns) {
      tile[row][x] = from[(first_row + row) * columns + first_column + x];
    }
  }
  __syncthreads();
  for (int row = y; row < kTile; row += kRowsAtOnce) {  // of `to`
    if (first_column + row < columns && first_row + x < rows) {
      to[(first_column + row) * rows + first_row + x] = tile[x][row];
    }
  }
}

}  // namespace

template <class T>
void transpose(const T* from, T* to, std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const std::int64_t tiles = (rows + kTile - 1) / kTile * ((columns + kTile - 1) / kTile);
  launch(transpose_kernel<T>, dim3(static_cast<unsigned>(tiles)), dim3(kTile, kRowsAtOnce), 0, stream, from,
         to, rows, columns);
}

template void transpose(const float*, float*, std::int64_t, std::int64_t, cudaStream_t);
template void transpose(const bf16*, bf16*, std::int64_t, std::int64_t, cudaStream_t);

}  // namespace headwater::kernels
