#pragma once
// Cuts views off the front of a block of bytes, each aligned as in an arena. Nothing is given back: whoever
// needs the block for something else begins with a new allocator.

#include "headwater/tensor/arena.h"

namespace headwater {

class ScratchAllocator {
 public:
  explicit ScratchAllocator(TensorView block) : block_(block) {}  // an i32 view
  // Throws InternalError where the block is too small.
  TensorView take(DType dtype, Shape shape);

 private:
  TensorView block_;
  std::int64_t used_ = 0;
};

}  // namespace headwater
