#pragma once
// Owns a rank's memory for training, which is divided into named segments and reserved before the first step.
//
// Each segment is reserved once, with the size that arena_layout() (layout/arena_layout.h) computes. take()
// hands its memory out front to back, and none of it is given back before the arena goes. A test checks that
// what is taken equals the layout. Not thread-safe: it is used at start-up only.

#include "headwater/tensor/tensor_view.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {

inline constexpr std::int64_t kAlignment = 256;  // bytes; every taken tensor starts at a multiple of it
constexpr std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

class Arena {
 public:
  struct Segment {
    std::string name;
    std::int64_t reserved = 0, taken = 0;  // bytes
  };

  explicit Arena(Device device);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Reserves zero-filled memory. All segments that are reserved before the first take() from one of them
  // share an allocation, which that take() makes. It throws SystemError with the names and sizes of these
  // segments if the device lacks the memory.
  void reserve(std::string_view segment, std::int64_t bytes);
  // Takes aligned(bytes of the tensor) from the segment. Throws InternalError if that is more than is left.
  TensorView take(std::string_view segment, DType dtype, Shape shape);
  std::vector<Segment> segments() const;
  // Makes the memory stay until the process ends, for calls that may still use it after a failure.
  void leak();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headwater
