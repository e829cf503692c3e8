#pragma once
// Operands of the tests of kernels that work on rows: a matrix on the device, with gaps between its rows and
// off its alignment where a test asks for it, and the same numbers in double precision, on which
// ReferenceBackend runs.

#include "device.h"
#include "headwater/tensor/tensor_view.h"
#include "kernels.h"

#include <ostream>
#include <utility>

namespace headwater::kernels {

struct Size {
  std::int64_t rows, columns, gap = 0;  // elements from the end of a row to the next
  std::size_t lead = 0;                 // elements that the first row is off a 16-byte address
};
inline std::ostream& operator<<(std::ostream& out, const Size& s) {
  return out << "[" << s.rows << ", " << s.columns << "] gap " << s.gap << " lead " << s.lead;
}

// One element, one chunk, narrow and odd, strided by 16 bytes and not, misaligned, more than one group of
// rows; rows that just fill a warp's registers or are a little longer; and rows that are wider than what the
// registers of a block keep (256 threads by eight chunks of 1, of four floats, of eight bf16).
constexpr Size kSizes[] = {{1, 1},         {1, 64},         {7, 7},       {3, 63, 2},   {5, 65},
                           {33, 64, 8},    {17, 128, 0, 1}, {40, 24, 16}, {2, 1030, 3}, {2, 8208},
                           {1, 300, 0, 3}, {5, 2048},       {3, 2064},    {1, 16400},   {1, 2100, 0, 1}};

// In [−1, 1], the same on every machine.
inline double random_value(std::uint64_t& state) {
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return static_cast<double>(state >> 40U) / 8388608.0 - 1.0;
}

template <class T>
class Matrix {
 public:
  static constexpr float kUntouched = 3.0F;  // what stands in the gaps, before and after

  // Random numbers rounded to T; `seed` 0 makes a result: NaN until it is written.
  Matrix(Size size, std::uint64_t seed, double scale = 1.0)
      : size_(size),
        stride_(size.columns + size.gap),
        device_(std::vector<T>(static_cast<std::size_t>(size.rows * stride_), T(kUntouched)), size.lead),
        reference_(static_cast<std::size_t>(size.rows * size.columns), std::nan("")) {
    std::uint64_t state = seed * 977;
    if (seed != 0) {
      for (double& value : reference_)
        value = static_cast<float>(T(static_cast<float>(scale * random_value(state))));
    }
    write_device();
  }
  Matrix(Size size, std::vector<double> values) : Matrix(size, 0) {
    reference_ = std::move(values);
    for (double& value : reference_) value = static_cast<float>(T(static_cast<float>(value)));
    write_device();
  }

  operator Rows<T>() const { return {device_.data(), stride_}; }
  operator Rows<const T>() const { return {device_.data(), stride_}; }
  T* data() const { return device_.data(); }
  TensorView view() { return {reference_.data(), DType::f64, {size_.rows, size_.columns}}; }
  TensorView vector() { return {reference_.data(), DType::f64, {size_.columns * size_.rows}}; }
  const std::vector<double>& reference() const { return reference_; }

  std::vector<T> host() const {  // dense
    const std::vector<T> all = device_.host();
    std::vector<T> values;
    for (std::int64_t row = 0; row < size_.rows; ++row) {
      for (std::int64_t i = 0; i < stride_; ++i) {
        const T value = all[static_cast<std::size_t>(row * stride_ + i)];
        if (i < size_.columns)
          values.push_back(value);
        else
          EXPECT_EQ(static_cast<float>(value), kUntouched) << "in the gap after row " << row;
      }
    }
    return values;
  }

  // Against the reference: `units` roundings to T of a value of at least `floor`.
  void expect(double units = 1.0, double floor = 0.0) const {
    const double unit = std::is_same_v<T, float> ? 0x1p-23 : 0x1p-8;
    expect_close(host(), reference_, units * unit * floor, units * unit);
  }

 private:
  void write_device() {
    std::vector<T> all(static_cast<std::size_t>(size_.rows * stride_), T(kUntouched));
    for (std::int64_t row = 0; row < size_.rows; ++row) {
      for (std::int64_t i = 0; i < size_.columns; ++i) {
        const double value = reference_[static_cast<std::size_t>(row * size_.columns + i)];
        all[static_cast<std::size_t>(row * stride_ + i)] = T(static_cast<float>(value));
      }
    }
    EXPECT_EQ(cudaMemcpy(device_.data(), all.data(), all.size() * sizeof(T), cudaMemcpyHostToDevice),
              cudaSuccess);
  }

  Size size_;
  std::int64_t stride_;
  DeviceArray<T> device_;
  std::vector<double> reference_;
};

// int32 on both sides.
class Integers {
 public:
  explicit Integers(std::vector<std::int32_t> values) : device_(values), host_(std::move(values)) {}
  std::int32_t* data() const { return device_.data(); }
  TensorView view() { return {host_.data(), DType::i32, {static_cast<std::int64_t>(host_.size())}}; }
  TensorView view(Shape shape) { return {host_.data(), DType::i32, shape}; }

 private:
  DeviceArray<std::int32_t> device_;
  std::vector<std::int32_t> host_;
};

// body(float()) and body(bf16()) for each size, in every mode.
template <class Sizes, class Body>
void for_sizes(const Sizes& sizes, const Body& body) {
  in_every_mode([&] {
    for (const auto& size : sizes) {
      SCOPED_TRACE(::testing::Message() << size);
      body(size, float());
      body(size, bf16(0.0F));
    }
  });
}

// An operand that an op may do without.
inline TensorView view_if(bool present, TensorView view) { return present ? view : TensorView(); }

inline bool is_float(float) { return true; }
inline bool is_float(bf16) { return false; }

}  // namespace headwater::kernels
