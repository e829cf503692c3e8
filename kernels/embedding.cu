// Token embedding over a shard of the vocabulary, and its backward: tokens are sorted first, so that each row
// of the table is added to by one warp (for each of its columns), in the order of t, on any GPU.

#include "rows.cuh"

namespace headwater::kernels {
namespace {

template <class T, int kN>
__global__ void __launch_bounds__(256)
    embedding_kernel(const std::int32_t* tokens, Rows<const T> table, std::int64_t first,
                     std::int64_t vocabulary, Rows<T> out, std::int64_t rows, std::int64_t columns) {
  for_each_chunk<kN>(rows, columns, [&](std::int64_t t, std::int64_t column) {
    const std::int64_t row = tokens[t] - first;
    float v[kN] = {};
    if (row >= 0 && row < vocabulary) load<kN>(table.row(row) + column, v);
    store<kN>(out.row(t) + column, v);
  });
}

// order[i] is the i-th of the tokens 0 … count − 1 when they are sorted by id, and by number among equal ids.
// A token's place is the number of those before it, which kCounters neighbouring lanes count together, a tile
// of ids at a time.
constexpr int kSortThreads = 256, kCounters = 8;

__global__ void __launch_bounds__(kSortThreads)
    sort_kernel(const std::int32_t* tokens, std::int32_t* order, int count) {
  SHARED_ARRAY(std::int32_t, tile, [kSortThreads]);
  const int me = static_cast<int>((blockIdx.x * kSortThreads + threadIdx.x) / kCounters);
  const int part = static_cast<int>(threadIdx.x) % kCounters;
  const std::int32_t id = me < count ? tokens[me] : 0;
  int place = 0;
  for (int first = 0; first < count; first += kSortThreads) {
    const int other = first + static_cast<int>(threadIdx.x);
    __syncthreads();
    tile[threadIdx.x] =
        other < count ? tokens[other] : INT32_MAX;  // sorts last, so that it counts for nobody
    __syncthreads();
    for (int i = 0; i < kSortThreads; i += kCounters) {
      const std::int32_t found = tile[i + part];
      place += found < id || (found == id && first + i + part < me) ? 1 : 0;
    }
  }
  for (int step = kCounters / 2; step > 0; step /= 2) place += ptx::shuffle_xor(place, step);
  if (me < count && part == 0) order[place] = me;
}

// A warp for each place in the order (y of the grid: 8 a block) and each kAcross·32·kN columns (x). Where a
// run of equal ids begins it adds the whole run to the table's row.
constexpr int kWarpsOfBlock = 8, kAcross = 4;

template <class T, int kN>
__global__ void __launch_bounds__(kWarp* kWarpsOfBlock)
    embedding_backward_kernel(const std::int32_t* tokens, const std::int32_t* order, int count,
                              Rows<const T> d_out, std::int64_t first, std::int64_t vocabulary,
                              Rows<float> d_table, std::int64_t columns) {
  const int place = static_cast<int>(blockIdx.y * kWarpsOfBlock + threadIdx.y);
  if (place >= count) return;
  // With what comes before and after, all asked for at once.
  int t = order[place], next = order[min(place + 1, count - 1)];
  const int before = order[max(place - 1, 0)];
  const std::int32_t id = tokens[t], before_id = tokens[before];
  std::int32_t next_id = tokens[next];
  const std::int64_t row = id - first;
  if (row < 0 || row >= vocabulary || (place > 0 && before_id == id)) return;
  const std::int64_t begin = (static_cast<std::int64_t>(blockIdx.x) * kAcross * kWarp + threadIdx.x) * kN;
  const auto for_columns = [&](const auto& body) {
#pragma unroll
    for (int i = 0; i < kAcross; ++i)
      if (begin + i * kWarp * kN < columns) body(i, begin + i * kWarp * kN);
  };
  float sum[kAcross][kN];
  for_columns([&](int i, std::int64_t column) { load<kN>(d_table.row(row) + column, sum[i]); });
  for (int end = place + 1;; ++end) {  // of the run as far as it is known
    float d[kAcross][kN];
    for_columns([&](int i, std::int64_t column) { load<kN>(d_out.row(t) + column, d[i]); });
    const bool goes_on = end < count && next_id == id;
    if (goes_on) {
      t = next;
      next = order[min(end + 1, count - 1)];
      next_id = tokens[next];
    }
    for_columns([&](int i, std::int64_t) {
      for (int k = 0; k < kN; ++k) sum[i][k] += d[i][k];
    });
    if (!goes_on) break;
  }
  for_columns([&](int i, std::int64_t column) { store<kN>(d_table.row(row) + column, sum[i]); });
}

}  // namespace

template <class T>
void embedding(const std::int32_t* tokens, Rows<const T> table, std::int64_t first, std::int64_t vocabulary,
               Rows<T> out, std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const bool vectors = fit_vectors(columns, table, out);
  const RowGrid shape(rows, columns, vectors ? kVector<T> : 1);
  launch(vectors ? embedding_kernel<T, kVector<T>> : embedding_kernel<T, 1>, shape.grid, shape.threads, 0,
         stream, tokens, table, first, vocabulary, out, rows, columns);
}

template <class T>
void embedding_backward(const std::int32_t* tokens, Rows<const T> d_out, std::int64_t first,
                        std::int64_t vocabulary, Rows<float> d_table, void* workspace, std::int64_t rows,
                        std::int64_t columns, cudaStream_t stream) {
  if (columns == 0 || vocabulary == 0) return;
  const bool vectors = fit_vectors(columns, d_out, d_table);
  const std::int64_t width = kAcross * kWarp * (vectors ? kVector<T, float> : 1);
  auto* order = static_cast<std::int32_t*>(workspace);
  for (std::int64_t begin = 0; begin < rows; begin += kSortedTokens) {
    const int count = static_cast<int>(std::min(kSortedTokens, rows - begin));
    launch(sort_kernel, static_cast<unsigned>((count * kCounters + kSortThreads - 1) / kSortThreads),
           kSortThreads, 0, stream, tokens + begin, order, count);
    launch(vectors ? embedding_backward_kernel<T, kVector<T, float>> : embedding_backward_kernel<T, 1>,
           dim3(static_cast<unsigned>((columns + width - 1) / width),
                static_cast<unsigned>((count + kWarpsOfBlock - 1) / kWarpsOfBlock)),
           dim3(kWarp, kWarpsOfBlock), 0, stream, tokens + begin, order, count,
           Rows<const T>{d_out.row(begin), d_out.stride}, first, vocabulary, d_table, columns);
  }
}

#define INSTANTIATE(T)                                                                             \
  template void embedding(const std::int32_t*, Rows<const T>, std::int64_t, std::int64_t, Rows<T>, \
                          std::int64_t, std::int64_t, cudaStream_t);                               \
  template void embedding_backward(const std::int32_t*, Rows<const T>, std::int64_t, std::int64_t, \
                                   Rows<float>, void*, std::int64_t, std::int64_t, cudaStream_t);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace headwater::kernels
