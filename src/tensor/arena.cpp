#include "headwater/tensor/arena.h"

#include "headwater/tensor/device_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace headwater {
namespace {

// One allocation, which holds the segments that were reserved before the first take() from one of them.
struct Chunk {
  std::int64_t bytes = 0;
  DeviceMemory memory;
};

struct Block {
  Arena::Segment segment;
  std::size_t chunk = 0;
  std::int64_t offset = 0;  // within its chunk
};

}  // namespace

struct Arena::Impl {
  explicit Impl(Device where) : device(where) {}

  Device device;
  std::vector<Block> blocks;  // so few that a search in order is fast
  std::vector<Chunk> chunks;

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
  std::byte* memory_of(const Block& block) {
    Chunk& chunk = chunks[block.chunk];
    if (chunk.memory == nullptr) chunk.memory = allocate(device, chunk.bytes, description(block.chunk));
    return chunk.memory.get() + block.offset;
  }
  std::string description(std::size_t chunk) const {
    std::string text;
    for (const Block& b : blocks)
      if (b.chunk == chunk)
        fmt::format_to(std::back_inserter(text), "{}{} {}", text.empty() ? "" : ", ", b.segment.name,
                       b.segment.reserved);
    return fmt::format("the arena ({})", text);
  }
};

Arena::Arena(Device device) : impl_(std::make_unique<Impl>(device)) {}

Arena::~Arena() = default;

void Arena::leak() {
  for (Chunk& chunk : impl_->chunks) static_cast<void>(chunk.memory.release());
}

void Arena::reserve(std::string_view segment, std::int64_t bytes) {
  HW_CHECK(bytes >= 0, "segment {} of {} bytes", segment, bytes);
  HW_CHECK(impl_->find(segment) == nullptr, "segment {} is reserved twice", segment);
  if (impl_->chunks.empty() || impl_->chunks.back().memory != nullptr) impl_->chunks.emplace_back();
  Chunk& chunk = impl_->chunks.back();
  impl_->blocks.push_back({{std::string(segment), bytes, 0}, impl_->chunks.size() - 1, chunk.bytes});
  chunk.bytes += aligned(bytes);
}

TensorView Arena::take(std::string_view segment, DType dtype, Shape shape) {
  Block& block = impl_->at(segment);
  Segment& s = block.segment;
  const std::int64_t bytes = shape.elements() * static_cast<std::int64_t>(size_of(dtype));
  HW_CHECK(aligned(bytes) <= s.reserved - s.taken,
           "segment {}: {} of {} ({} bytes) after {} of {} bytes taken", segment, name_of(dtype),
           to_string(shape), bytes, s.taken, s.reserved);
  TensorView view(impl_->memory_of(block) + s.taken, dtype, shape, impl_->device);
  s.taken += aligned(bytes);
  return view;
}

std::vector<Arena::Segment> Arena::segments() const {
  std::vector<Segment> all;
  for (const Block& block : impl_->blocks) all.push_back(block.segment);
  return all;
}

}  // namespace headwater
