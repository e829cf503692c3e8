#include "headwater/tensor/shape.h"

#include "headwater/base/error.h"

#include <algorithm>

namespace headwater {

Shape::Shape(std::initializer_list<std::int64_t> dims)
    : Shape(std::span<const std::int64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const std::int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  HW_CHECK(dims.size() <= kMaxRank, "a shape has at most {} dimensions, not {}", kMaxRank, dims.size());
  for (const std::int64_t dim : dims) HW_CHECK(dim >= 0, "a dimension of {} elements", dim);
  std::copy(dims.begin(), dims.end(), dims_.begin());
}

std::int64_t Shape::elements() const { return rank_ == 0 ? 1 : dims_[0] * row_elements(); }

std::int64_t Shape::row_elements() const {
  std::int64_t product = 1;
  for (int dim = 1; dim < rank_; ++dim) product *= (*this)[dim];
  return product;
}

Shape Shape::with_first(std::int64_t first) const {
  HW_CHECK(rank_ > 0 && first >= 0, "no first dimension of {} elements for {}", first, to_string(*this));
  Shape other = *this;
  other.dims_[0] = first;
  return other;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int dim = 0; dim < shape.rank(); ++dim) text += fmt::format("{}{}", dim == 0 ? "" : ", ", shape[dim]);
  return text + "]";
}

}  // namespace headwater
