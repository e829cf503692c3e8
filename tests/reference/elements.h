#pragma once
// Element access of the reference catalogue: slow, checked, obvious.

#include "headwater/backend/backend.h"
#include "headwater/base/random.h"

namespace headwater::reference {

// Element (row, column) of a view whose later dimensions count as one.
inline double& at(const TensorView& x, std::int64_t row, std::int64_t column = 0) {
  HW_CHECK(row >= 0 && row < x.rows() && column >= 0 && column < x.columns(), "element ({}, {}) of {}", row,
           column, to_string(x.shape));
  return x.as<double>()[row * x.row_stride + column];
}

inline std::int64_t integer(const TensorView& x, std::int64_t row, std::int64_t column = 0) {
  HW_CHECK(row >= 0 && row < x.rows() && column >= 0 && column < x.columns(), "element ({}, {}) of {}", row,
           column, to_string(x.shape));
  return x.as<std::int32_t>()[row * x.row_stride + column];
}

// An element of any dtype, as copies between dtypes need it.
inline double read(const TensorView& x, std::int64_t row, std::int64_t column) {
  const std::int64_t index = row * x.row_stride + column;
  if (x.dtype == DType::f32) return x.as<float>()[index];
  if (x.dtype == DType::bf16) return static_cast<float>(x.as<bf16>()[index]);
  if (x.dtype == DType::i32) return x.as<std::int32_t>()[index];
  return x.as<double>()[index];
}

inline void write(const TensorView& x, std::int64_t row, std::int64_t column, double value) {
  const std::int64_t index = row * x.row_stride + column;
  if (x.dtype == DType::f32)
    x.as<float>()[index] = static_cast<float>(value);
  else if (x.dtype == DType::bf16)
    x.as<bf16>()[index] = bf16(static_cast<float>(value));
  else if (x.dtype == DType::i32)
    x.as<std::int32_t>()[index] = static_cast<std::int32_t>(value);
  else
    x.as<double>()[index] = value;
}

// The factor of element `element` of sample `sample`: 0, 1 / (1 − p), or 1 where dropout is off.
inline double dropout_factor(const Dropout& dropout, std::int64_t sample, std::int64_t element) {
  if (!dropout.on()) return 1.0;
  const auto low = static_cast<std::uint32_t>(integer(dropout.keys, sample, 0));
  const auto high = static_cast<std::uint32_t>(integer(dropout.keys, sample, 1));
  const RandomKey key{(static_cast<std::uint64_t>(high) << 32) + low};
  const auto e = static_cast<std::uint64_t>(element);
  const std::uint32_t word = philox<7>(key, e / 8, dropout.site)[e % 8 / 2];
  const double half = e % 2 == 0 ? word % 65536 : word / 65536;
  const double p = std::min(std::max(std::round(dropout.probability * 65536.0), 1.0), 65535.0) / 65536.0;
  return half >= p * 65536.0 ? 1.0 / (1.0 - p) : 0.0;
}

// Element (row, column) of a matrix of rows after dropout, which takes it as an element of its sample. What
// is dropped is 0, whatever it was.
inline double after_dropout(const Dropout& dropout, const TensorView& x, std::int64_t row,
                            std::int64_t column) {
  const double value = at(x, row, column);
  if (!dropout.on()) return value;
  const std::int64_t sequence = dropout.sequence > 0 ? dropout.sequence : x.rows() / dropout.keys.rows();
  const std::int64_t token = dropout.first_row + row;
  const double factor = dropout_factor(dropout, token / sequence, token % sequence * x.columns() + column);
  return factor == 0.0 ? 0.0 : factor * value;
}

inline double& scalar(const TensorView& scalars, StepScalar which) {
  return at(scalars, static_cast<std::int64_t>(which));
}

}  // namespace headwater::reference
