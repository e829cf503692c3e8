#include "headwater/tensor/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace headwater {
namespace {

// Anonymous pages: zero-filled by the system, aligned to a page, touched only when used.
class Pages {
 public:
  explicit Pages(std::size_t bytes) : bytes_(std::max<std::size_t>(bytes, 1)) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) data_ = static_cast<std::byte*>(memory);
  }
  ~Pages() {
    if (data_ != nullptr) munmap(data_, bytes_);
  }
  Pages(Pages&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  Pages& operator=(Pages&&) = delete;

  std::byte* data() const { return data_; }  // nullptr where the system had none

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

struct Block {
  Arena::Segment segment;
  Pages pages;
};

}  // namespace

struct Arena::Impl {
  Device device;
  std::vector<Block> blocks;  // a handful: searched in order

  Block* find(std::string_view name) {
    const auto block =
        std::find_if(blocks.begin(), blocks.end(), [&](const Block& b) { return b.segment.name == name; });
    return block == blocks.end() ? nullptr : &*block;
  }
  Block& at(std::string_view name) {
    Block* block = find(name);
    HW_CHECK(block != nullptr, "the arena has no segment {}", name);
    return *block;
  }
};

Arena::Arena(Device device) : impl_(std::make_unique<Impl>()) {
  if (device.kind != Device::Kind::cpu)
    throw SystemError("no memory on {}: this build knows only the device cpu", name_of(device));
  impl_->device = device;
}

Arena::~Arena() = default;

void Arena::reserve(std::string_view segment, std::int64_t bytes) {
  HW_CHECK(bytes >= 0, "segment {} of {} bytes", segment, bytes);
  HW_CHECK(impl_->find(segment) == nullptr, "segment {} is reserved twice", segment);
  Pages pages(static_cast<std::size_t>(bytes));
  if (pages.data() == nullptr)
    throw SystemError("out of memory: the system refused {} bytes for the segment {} of the arena on {}",
                      bytes, segment, name_of(impl_->device));
  impl_->blocks.push_back({{std::string(segment), bytes, 0}, std::move(pages)});
}

TensorView Arena::take(std::string_view segment, DType dtype, Shape shape) {
  Block& block = impl_->at(segment);
  Segment& s = block.segment;
  const std::int64_t bytes = shape.elements() * static_cast<std::int64_t>(size_of(dtype));
  HW_CHECK(aligned(bytes) <= s.reserved - s.taken,
           "segment {}: {} of {} ({} bytes) after {} of {} bytes taken", segment, name_of(dtype),
           to_string(shape), bytes, s.taken, s.reserved);
  TensorView view(block.pages.data() + s.taken, dtype, shape, impl_->device);
  s.taken += aligned(bytes);
  return view;
}

std::vector<Arena::Segment> Arena::segments() const {
  std::vector<Segment> all;
  for (const Block& block : impl_->blocks) all.push_back(block.segment);
  return all;
}

Device Arena::device() const { return impl_->device; }

}  // namespace headwater
