#pragma once
// The scratch memory of one op: the backend's workspace, carved front to back and held to the op's stated
// need.

#include "headwater/base/error.h"

#include <cstddef>
#include <cstdint>

namespace headwater::cpu {

class Scratch {
 public:
  static constexpr std::int64_t kAlign = 64;  // a cache line: threads' pieces do not share one

  Scratch(void* memory, std::int64_t bytes) : next_(static_cast<std::byte*>(memory)), left_(bytes) {}

  // Piece `index` of so many equal ones.
  Scratch share(int index, int pieces) const { return {next_ + index * (left_ / pieces), left_ / pieces}; }

  template <class T>
  T* take(std::int64_t count) {
    const std::int64_t bytes = (count * static_cast<std::int64_t>(sizeof(T)) + kAlign - 1) / kAlign * kAlign;
    HW_CHECK(bytes <= left_, "scratch of {} bytes where {} are left", bytes, left_);
    void* memory = next_;
    next_ += bytes;
    left_ -= bytes;
    return static_cast<T*>(memory);
  }

 private:
  std::byte* next_;
  std::int64_t left_;
};

}  // namespace headwater::cpu
