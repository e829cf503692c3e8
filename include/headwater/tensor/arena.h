#pragma once
// Owns a rank's memory for training: a part for each named segment, reserved before the first step.
//
// A segment is reserved once with its size (ArenaLayout says it) and handed out front to back by take(),
// never back; a test holds what was taken equal to the layout. Not thread-safe: filled at start-up.

#include "headwater/tensor/tensor_view.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {

inline constexpr std::int64_t kAlignment = 256;  // bytes; every take() starts at a multiple
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

  // Zero-filled. All segments that are reserved before one of them is taken from are one allocation, made
  // then: SystemError, naming them and their sizes, where the device has not so much.
  void reserve(std::string_view segment, std::int64_t bytes);
  // Counts the aligned size, so that the layout's sum of aligned() sizes is what is taken.
  TensorView take(std::string_view segment, DType dtype, Shape shape);
  std::vector<Segment> segments() const;
  Device device() const;
  void leak();  // its memory stays until the process ends, for what may still use it after a failure

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headwater
