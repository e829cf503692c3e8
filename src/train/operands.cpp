#include "headwater/train/operands.h"

#include "headwater/base/random.h"
#include "headwater/tensor/arena.h"

namespace headwater {
namespace {

constexpr std::int64_t kTile = std::int64_t{1} << 20;  // bytes

}  // namespace

// Words of 16 bits, 0x3C00 to 0x3DFF: in bf16, and as the upper half of an f32, 2^-7 to 2^-3.
Operands::Operands(Backend& backend) : backend_(&backend) {
  const RandomKey key = derive(RandomKey{1}, "operands");
  for (std::uint64_t i = 0; i < kTile / 2; ++i)
    tile_.push_back(static_cast<std::uint16_t>(0x3C00U + static_cast<unsigned>(uniform(key, i) * 512.0)));
}

void Operands::reset(std::int64_t bytes) {
  taken_ = 0;
  if (backend_ == nullptr) return;
  const std::int64_t tiles = (bytes + kTile - 1) / kTile;
  if (tiles * kTile > size_) {
    memory_.reset();
    size_ = tiles * kTile;
    memory_ = allocate(backend_->device(), size_, "the operands of an op");
  }
  const auto view = [](void* data, Device device) { return TensorView(data, DType::f32, {kTile / 4}, device); };
  const TensorView first = view(memory_.get(), backend_->device());
  if (tiles > 0) backend_->to_device(view(tile_.data(), {}), first);
  for (std::int64_t i = 1; i < tiles; ++i) backend_->copy(first, view(memory_.get() + i * kTile, first.device));
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
