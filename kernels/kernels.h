#pragma once
// Every launcher of kernels/: what it computes, shapes, alignment. A launcher takes device pointers, sizes and a stream,
// queues its kernels there and returns; errors show in cudaGetLastError(), which the backend asks. T is float or bf16, and
// sums are fp32, where nothing else is said. "16-aligned": addresses (and row strides, in bytes) are multiples of 16.

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace headwater::kernels {

using bf16 = __nv_bfloat16;

// ---- memory (convert.cu, transpose.cu) -----------------------------------------------------------------------------------

// x[i] = value, i < n; any alignment of T.
template <class T>
void fill(T* x, float value, std::int64_t n, cudaStream_t stream);

// to[i] = from[i], rounded to nearest even; any alignment of the types. float ↔ bf16.
template <class From, class To>
void cast(const From* from, To* to, std::int64_t n, cudaStream_t stream);

// to[j, i] = from[i, j]; from [rows, columns], to [columns, rows], dense; any alignment of T.
template <class T>
void transpose(const T* from, T* to, std::int64_t rows, std::int64_t columns, cudaStream_t stream);

}  // namespace headwater::kernels
