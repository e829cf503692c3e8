#include "combine.h"

#include <algorithm>
#include <array>
#include <type_traits>

namespace headwater::comm {
namespace {

struct Sum {
  template <class A>
  A operator()(A a, A b) const {
    if constexpr (std::is_integral_v<A>)  // wraps instead of overflowing
      return static_cast<A>(static_cast<std::make_unsigned_t<A>>(a) +
                            static_cast<std::make_unsigned_t<A>>(b));
    else
      return a + b;
  }
};

struct Max {  // NaN wins, so that a bad number is seen by all
  template <class A>
  A operator()(A a, A b) const {
    return b > a || b != b ? b : a;
  }
};

template <class T, class A, class Combine>
void combine_as(Combine combine_two, void* result, std::span<const void* const> parts, std::size_t elements) {
  constexpr std::size_t kBlock = 1024;
  std::array<A, kBlock> sum;
  for (std::size_t begin = 0; begin < elements; begin += kBlock) {
    const std::size_t count = std::min(kBlock, elements - begin);
    const T* first = static_cast<const T*>(parts[0]) + begin;
    for (std::size_t i = 0; i < count; ++i) sum[i] = static_cast<A>(first[i]);
    for (const void* part : parts.subspan(1)) {
      const T* next = static_cast<const T*>(part) + begin;
      for (std::size_t i = 0; i < count; ++i) sum[i] = combine_two(sum[i], static_cast<A>(next[i]));
    }
    T* out = static_cast<T*>(result) + begin;
    for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<T>(sum[i]);
  }
}

template <class Combine>
void combine_by_type(Combine op, DType dtype, void* result, std::span<const void* const> parts,
                     std::size_t elements) {
  switch (dtype) {
    case DType::f32: return combine_as<float, float>(op, result, parts, elements);
    case DType::bf16: return combine_as<bf16, float>(op, result, parts, elements);
    case DType::f64: return combine_as<double, double>(op, result, parts, elements);
    case DType::i32: return combine_as<std::int32_t, std::int32_t>(op, result, parts, elements);
  }
}

}  // namespace

void combine(ReduceOp op, DType dtype, void* result, std::span<const void* const> parts,
             std::size_t elements) {
  if (op == ReduceOp::sum)
    combine_by_type(Sum{}, dtype, result, parts, elements);
  else
    combine_by_type(Max{}, dtype, result, parts, elements);
}

}  // namespace headwater::comm
