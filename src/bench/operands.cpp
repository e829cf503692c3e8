#include "operands.h"

#include "headwater/backend/random_operands.h"
#include "headwater/tensor/arena.h"

namespace headwater {

void Operands::reset(std::int64_t bytes) {
  taken_ = 0;
  if (backend_ == nullptr) return;
  const std::int64_t size = aligned(bytes);
  if (size > size_) {
    memory_.reset();
    size_ = size;
    memory_ = allocate(backend_->device(), size_, "the operands of an op");
  }
  fill_randomly(*backend_, TensorView(memory_.get(), DType::f32, {size / 4}, backend_->device()));
}

TensorView Operands::take(DType dtype, Shape shape) {
  const std::int64_t begin = taken_;
  TensorView view(nullptr, dtype, shape);
  taken_ += aligned(static_cast<std::int64_t>(view.bytes()));
  if (backend_ == nullptr) {
    view.data = reinterpret_cast<void*>(static_cast<std::uintptr_t>(kAlignment + begin));
    return view;
  }
  HW_CHECK(taken_ <= size_, "operands of {} bytes in a block of {}", taken_, size_);
  view.data = memory_.get() + begin;
  view.device = backend_->device();
  return view;
}

TensorView Operands::take_positive(DType dtype, Shape shape) {
  const TensorView view = take(dtype, shape);
  if (backend_ != nullptr) fill_randomly(*backend_, view, Signs::positive);
  return view;
}

TensorView Operands::take_copy(TensorView host) {
  const TensorView view = take(host.dtype, host.shape);
  if (backend_ != nullptr) backend_->to_device(host, view);
  return view;
}

TensorView Operands::take_integers(Shape shape, const std::function<std::int32_t(std::int64_t)>& value) {
  std::vector<std::int32_t> host(static_cast<std::size_t>(shape.elements()));
  for (std::size_t i = 0; i < host.size(); ++i) host[i] = value(static_cast<std::int64_t>(i));
  return take_copy(TensorView(host.data(), DType::i32, shape));
}

}  // namespace headwater
