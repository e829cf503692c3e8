#pragma once
// The addends that the backward of a norm is tested with.

#include "matrix.h"

namespace headwater::kernels {

enum class Addend {
  none,
  in_place,   // dx itself
  apart,      // a matrix with a row stride of its own, aligned where the other operands are
  odd_rows,   // one whose row stride keeps it from 16-byte accesses
  misaligned  // one whose address does
};
inline std::ostream& operator<<(std::ostream& out, Addend a) {
  constexpr const char* kNames[] = {"none", "in place", "apart", "odd rows", "misaligned"};
  return out << "addend " << kNames[static_cast<int>(a)];
}

// Sizes whose other operands allow 16-byte accesses of both types: one group of rows, and three.
constexpr Size kVectorSizes[] = {{3, 64, 8}, {33, 24}};

// dx of a norm's backward, of this size, and what is added to it. dx is NaN unless it is the addend.
template <class T>
struct AddedGradient {
  Addend addend;
  Matrix<T> dx, other;

  AddedGradient(Addend a, const Size& size)
      : addend(a), dx(size, a == Addend::in_place ? kSeed : 0), other(of_other(a, size), kSeed) {}

  Rows<const T> rows() const {  // of the addend
    if (addend == Addend::none) return {};
    return addend == Addend::in_place ? dx : other;
  }
  TensorView view() {  // of the addend, for the reference
    if (addend == Addend::none) return {};
    return addend == Addend::in_place ? dx.view() : other.view();
  }
  void expect(double units, double floor) const {  // as Matrix::expect(); and the addend is as it was
    dx.expect(units, floor);
    if (addend != Addend::in_place) other.expect(0.0);
  }

 private:
  static constexpr std::uint64_t kSeed = 4;
  static Size of_other(Addend a, const Size& size) {
    Size other = size;
    if (a == Addend::apart) other.gap += 8;
    if (a == Addend::odd_rows) other.gap += 1;
    if (a == Addend::misaligned) other.lead += 1;
    return other;
  }
};

}  // namespace headwater::kernels
