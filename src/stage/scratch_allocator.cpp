#include "scratch_allocator.h"

namespace headwater {

TensorView ScratchAllocator::take(DType dtype, Shape shape) {
  TensorView view(static_cast<std::byte*>(block_.data) + used_, dtype, shape, block_.device);
  used_ += aligned(static_cast<std::int64_t>(view.bytes()));
  HW_CHECK(used_ <= static_cast<std::int64_t>(block_.bytes()), "scratch of {} bytes is too small for {}",
           block_.bytes(), to_string(shape));
  return view;
}

}  // namespace headwater
