// Sums and conversions of matrices whose types may differ. Through f64 where the target is f64, through fp32
// otherwise.

#include "rows.cuh"

#include <type_traits>

namespace headwater::kernels {
namespace {

template <class From, class To, int kN>
__global__ void __launch_bounds__(256)
    add_kernel(Rows<const From> x, Rows<To> y, std::int64_t rows, std::int64_t columns) {
  for_each_chunk<kN>(rows, columns, [&](std::int64_t row, std::int64_t column) {
    float term[kN], sum[kN];
    load_once<kN>(x.row(row) + column, term);
    load<kN>(y.row(row) + column, sum);
    for (int i = 0; i < kN; ++i) sum[i] += term[i];
    store<kN>(y.row(row) + column, sum);
  });
}

template <class From, class To, int kN>
__global__ void __launch_bounds__(256)
    copy_kernel(Rows<const From> x, Rows<To> y, std::int64_t rows, std::int64_t columns) {
  for_each_chunk<kN>(rows, columns, [&](std::int64_t row, std::int64_t column) {
    float v[kN];
    load_once<kN>(x.row(row) + column, v);
    store<kN>(y.row(row) + column, v);
  });
}

// ---- with f64 on a side: a few numbers, one by one ----

template <class From, class To>
__device__ __forceinline__ To converted(From x) {
  if constexpr (std::is_same_v<From, double> && std::is_same_v<To, double>)
    return x;
  else if constexpr (std::is_same_v<To, double>)
    return static_cast<double>(to_float(x));
  else
    return from_float<To>(static_cast<float>(x));
}

template <class From, class To, bool kAdd>
__global__ void __launch_bounds__(256)
    double_kernel(Rows<const From> x, Rows<To> y, std::int64_t rows, std::int64_t columns) {
  for_each_chunk<1>(rows, columns, [&](std::int64_t row, std::int64_t column) {
    To& to = y.row(row)[column];
    const From from = x.row(row)[column];
    if constexpr (!kAdd)
      to = converted<From, To>(from);
    else if constexpr (std::is_same_v<To, double>)
      to += converted<From, double>(from);
    else
      to = from_float<To>(to_float(to) + static_cast<float>(from));
  });
}

template <class From, class To, bool kAdd>
void add_or_copy(Rows<const From> x, Rows<To> y, std::int64_t rows, std::int64_t columns,
                 cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  if (rows > 1 && x.stride == columns && y.stride == columns) columns *= rows, rows = 1;  // one long row
  const auto run = [&](auto kernel, int chunk, std::int64_t begin, std::int64_t end) {
    if (begin == end) return;
    const RowGrid shape(rows, end - begin, chunk);
    launch(kernel, shape.grid, shape.threads, 0, stream, Rows<const From>{x.data + begin, x.stride},
           Rows<To>{y.data + begin, y.stride}, rows, end - begin);
  };
  if constexpr (std::is_same_v<From, double> || std::is_same_v<To, double>) {
    run(double_kernel<From, To, kAdd>, 1, 0, columns);
  } else {
    constexpr int kN = kVector<From, To>;
    if (rows == 1) x.stride = y.stride = 0;
    const std::int64_t whole = columns - columns % kN, vectors = fit_vectors(whole, x, y) ? whole : 0;
    run(kAdd ? add_kernel<From, To, kN> : copy_kernel<From, To, kN>, kN, 0, vectors);
    run(kAdd ? add_kernel<From, To, 1> : copy_kernel<From, To, 1>, 1, vectors, columns);
  }
}

}  // namespace

template <class From, class To>
void add(Rows<const From> x, Rows<To> y, std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  add_or_copy<From, To, true>(x, y, rows, columns, stream);
}

template <class From, class To>
void copy(Rows<const From> x, Rows<To> y, std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  add_or_copy<From, To, false>(x, y, rows, columns, stream);
}

#define INSTANTIATE(From, To)                                                              \
  template void add(Rows<const From>, Rows<To>, std::int64_t, std::int64_t, cudaStream_t); \
  template void copy(Rows<const From>, Rows<To>, std::int64_t, std::int64_t, cudaStream_t);
INSTANTIATE(float, float)
INSTANTIATE(float, bf16)
INSTANTIATE(float, double)
INSTANTIATE(bf16, float)
INSTANTIATE(bf16, bf16)
INSTANTIATE(bf16, double)
INSTANTIATE(double, float)
INSTANTIATE(double, bf16)
INSTANTIATE(double, double)
#undef INSTANTIATE

}  // namespace headwater::kernels
