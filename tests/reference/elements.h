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

// An element of any floating dtype, as copies between dtypes need it.
inline double read(const TensorView& x, std::int64_t row, std::int64_t column) {
  const std::int64_t index = row * x.row_stride + column;
  if (x.dtype == DType::f32) return x.as<float>()[index];
  if (x.dtype == DType::bf16) return static_cast<float>(x.as<bf16>()[index]);
  return x.as<double>()[index];
}

inline void write(const TensorView& x, std::int64_t row, std::int64_t column, double value) {
  const std::int64_t index = row * x.row_stride + column;
  if (x.dtype == DType::f32)
    x.as<float>()[index] = static_cast<float>(value);
  else if (x.dtype == DType::bf16)
    x.as<bf16>()[index] = bf16(static_cast<float>(value));
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
  const double word = philox(key, e / 4, dropout.site)[e % 4];
  return word >= dropout.probability * 4294967296.0 ? 1.0 / (1.0 - dropout.probability) : 0.0;
}

// Element (row, column) of a matrix of rows, taken as an element of its sample.
inline double dropout_factor_of_row(const Dropout& dropout, const TensorView& x, std::int64_t row,
                                    std::int64_t column) {
  if (!dropout.on()) return 1.0;
  const std::int64_t sequence = dropout.sequence > 0 ? dropout.sequence : x.rows() / dropout.keys.rows();
  const std::int64_t token = dropout.first_row + row;
  return dropout_factor(dropout, token / sequence, token % sequence * x.columns() + column);
}

inline double& scalar(const TensorView& scalars, StepScalar which) {
  return at(scalars, static_cast<std::int64_t>(which));
}

}  // namespace headwater::reference
