// Construction, workspace and the memory ops.

#include "headwater/backend/cpu_backend.h"

#include "checks.h"
#include "cpu_catalogue.h"
#include "parallel.h"

#include <cstring>

namespace headwater {
namespace cpu {
namespace {

// Calls body(from, to, count) for pieces that make up x and y: a row each, or many where both are dense.
template <class From, class To, class Body>
void for_rows(const TensorView& x, const TensorView& y, int threads, const Body& body) {
  const std::int64_t columns = x.columns();
  // A vector is one long row: share out its elements instead of its rows of one.
  if (x.dense() && y.dense()) {
    parallel_parts(threads, x.elements(), [&](std::int64_t begin, std::int64_t end, int) {
      body(row_of<From>(x, 0) + begin, row_of<To>(y, 0) + begin, end - begin);
    });
  } else {
    parallel_parts(threads, x.rows(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row)
        body(row_of<From>(x, row), row_of<To>(y, row), columns);
    });
  }
}

template <class Body>
void with_float_type(DType dtype, const Body& body) {
  if (dtype == DType::f64)
    body(double());
  else
    with_compute_type(dtype, body);
}

// Values pass through f64 where one side has it, through f32 otherwise.
template <class To, class From>
To converted(From x) {
  if constexpr (std::is_same_v<From, To>)
    return x;
  else if constexpr (std::is_same_v<From, bf16>)
    return static_cast<To>(static_cast<float>(x));
  else if constexpr (std::is_same_v<To, bf16>)
    return bf16(static_cast<float>(x));
  else
    return static_cast<To>(x);
}

}  // namespace

CpuBackend::CpuBackend(const CpuOptions& options)
    : threads_(options.threads),
      widen_bf16_(options.widen_bf16 || !cpu_has_bf16()),
      products_(options.threads) {
  HW_CHECK(threads_ > 0, "a CPU backend of {} threads", threads_);
}

void CpuBackend::use_workspace(TensorView bytes) { workspace_ = bytes; }

Scratch CpuBackend::scratch(std::int64_t bytes) const {
  const auto size = static_cast<std::int64_t>(workspace_ ? workspace_.bytes() : 0);
  HW_CHECK(bytes <= size, "an op needs {} bytes of workspace, but {} are set aside", bytes, size);
  return {workspace_.data, bytes};
}

void CpuBackend::compute(const op::Zero& zero) {
  const TensorView& x = zero.x;
  const auto size = static_cast<std::int64_t>(size_of(x.dtype));
  const auto bytes = static_cast<std::byte*>(x.data);
  if (x.dense()) {
    parallel_parts(threads_, x.elements(), [&](std::int64_t begin, std::int64_t end, int) {
      std::memset(bytes + begin * size, 0, static_cast<std::size_t>((end - begin) * size));
    });
  } else {
    parallel_parts(threads_, x.rows(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row)
        std::memset(bytes + row * x.row_stride * size, 0, static_cast<std::size_t>(x.columns() * size));
    });
  }
}

void CpuBackend::compute(const op::Copy& copy) {
  const TensorView &from = copy.from, &to = copy.to;
  if (from.dtype == DType::i32 && to.dtype == DType::i32) {
    for_rows<std::int32_t, std::int32_t>(
        from, to, threads_,
        [](const std::int32_t* x, std::int32_t* y, std::int64_t n) { std::copy_n(x, n, y); });
    return;
  }
  with_float_type(from.dtype, [&](auto source) {
    with_float_type(to.dtype, [&](auto target) {
      using From = decltype(source);
      using To = decltype(target);
      for_rows<From, To>(from, to, threads_, [](const From* x, To* y, std::int64_t n) {
        for (std::int64_t i = 0; i < n; ++i) y[i] = converted<To>(x[i]);
      });
    });
  });
}

void CpuBackend::compute(const op::Add& add) {
  with_float_type(add.x.dtype, [&](auto source) {
    with_float_type(add.y.dtype, [&](auto target) {
      using From = decltype(source);
      using To = decltype(target);
      using Sum = std::conditional_t<std::is_same_v<To, double>, double, float>;
      for_rows<From, To>(add.x, add.y, threads_, [](const From* a, To* b, std::int64_t n) {
        for (std::int64_t i = 0; i < n; ++i)
          b[i] = converted<To>(converted<Sum>(b[i]) + converted<Sum>(a[i]));
      });
    });
  });
}

void CpuBackend::to_device(TensorView host, TensorView device) {
  HW_CHECK(host.dtype == device.dtype && host.shape == device.shape && host.dense() && device.dense(),
           "{} {} copied to {} {}", name_of(host.dtype), to_string(host.shape), name_of(device.dtype),
           to_string(device.shape));
  // the vocabulary may leave a shard empty
  if (host.bytes() > 0) std::memcpy(device.data, host.data, host.bytes());
}

void CpuBackend::to_host(TensorView device, TensorView host) { to_device(device, host); }

}  // namespace cpu

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
  return std::make_unique<cpu::CpuBackend>(options);
}

}  // namespace headwater
