#pragma once
// Operands of ops whose results do not matter: carved front to back out of one block of a device's memory
// that holds random numbers (random_operands.h), in whatever floating type it is read. Without a backend it
// hands out addresses that nobody may follow, and only counts.

#include "headwater/backend/backend.h"
#include "headwater/tensor/device_memory.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace headwater {

class Operands {
 public:
  Operands() = default;
  explicit Operands(Backend& backend) : backend_(&backend) {}  // `backend` must outlive this

  // Forgets what was taken, and fills `bytes` bytes with new random numbers.
  void reset(std::int64_t bytes);
  TensorView take(DType dtype, Shape shape);
  // Takes a tensor of positive numbers, for ops that take roots of it.
  TensorView take_positive(DType dtype, Shape shape);
  // Element i of the tensor is value(i).
  TensorView take_integers(Shape shape, const std::function<std::int32_t(std::int64_t)>& value);
  TensorView take_copy(TensorView host);  // `host` must be dense
  std::int64_t taken() const { return taken_; }

 private:
  Backend* backend_ = nullptr;
  DeviceMemory memory_;
  std::int64_t size_ = 0, taken_ = 0;  // bytes
};

}  // namespace headwater
