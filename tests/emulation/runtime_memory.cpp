// Memory: allocation, copies, fills. As on a GPU, a copy from memory that is not pinned has read it when the
// call returns, and one to such memory has been made; only with pinned memory does the host run ahead.

#include "memory.h"
#include "runtime.h"
#include "stream.h"

#include <cstring>

namespace emulation {
namespace {

enum class Place { device, pinned, pageable, outside };

// Of [address, address + bytes); `outside`: begins in an allocation and leaves it.
Place place_of(const void* address, std::size_t bytes) {
  const Allocation* const allocation = allocation_of(address);
  if (allocation == nullptr) return Place::pageable;
  if (!allocation->holds(address, bytes)) return Place::outside;
  return allocation->pinned ? Place::pinned : Place::device;
}

bool fits(cudaMemcpyKind kind, Place to, Place from) {
  if (to == Place::outside || from == Place::outside) return false;
  const bool to_device = to == Place::device, from_device = from == Place::device;
  switch (kind) {
    case cudaMemcpyHostToHost: return !to_device && !from_device;
    case cudaMemcpyHostToDevice: return to_device && !from_device;
    case cudaMemcpyDeviceToHost: return !to_device && from_device;
    case cudaMemcpyDeviceToDevice: return to_device && from_device;
    case cudaMemcpyDefault: return true;
  }
  return false;
}

struct Rectangle {
  unsigned char* to;
  const unsigned char* from;
  std::size_t to_pitch, from_pitch, width, height;
};

// What has been written follows the bytes, so that a copy of what nobody wrote stays that.
void copy_rows(const Rectangle& r) {
  for (std::size_t row = 0; row < r.height; ++row) {
    unsigned char* const to = r.to + row * r.to_pitch;
    const unsigned char* const from = r.from + row * r.from_pitch;
    std::memmove(to, from, r.width);
    const Allocation* const target = allocation_of(to);
    const Allocation* const source = allocation_of(from);
    if (target == nullptr || target->written == nullptr) continue;
    std::uint8_t* const written = target->written.get() + (to - target->begin);
    if (source == nullptr || source->written == nullptr) {
      std::memset(written, 1, r.width);
    } else {
      std::memmove(written, source->written.get() + (from - source->begin), r.width);
    }
  }
}

cudaError_t copy(const Rectangle& r, cudaMemcpyKind kind, cudaStream_t handle) {
  StreamLock lock;
  Stream* const stream = find_stream(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (r.width == 0 || r.height == 0) return done();
  if (r.width > r.to_pitch || r.width > r.from_pitch) return failed(cudaErrorInvalidValue);
  const Place to = place_of(r.to, (r.height - 1) * r.to_pitch + r.width);
  const Place from = place_of(r.from, (r.height - 1) * r.from_pitch + r.width);
  if (!fits(kind, to, from)) return failed(cudaErrorInvalidValue);
  if (stream->capture != nullptr && (to == Place::pageable || from == Place::pageable)) {
    return failed(cudaErrorStreamCaptureUnsupported);
  }
  if (from == Place::pageable) {
    auto staged = std::make_shared<std::vector<unsigned char>>(r.width * r.height);
    for (std::size_t row = 0; row < r.height; ++row) {
      std::memcpy(staged->data() + row * r.width, r.from + row * r.from_pitch, r.width);
    }
    enqueue(stream, {[r, staged] {
                       copy_rows({r.to, staged->data(), r.to_pitch, r.width, r.width, r.height});
                     },
                     {},
                     nullptr,
                     nullptr});
  } else {
    enqueue(stream, {[r] { copy_rows(r); }, {}, nullptr, nullptr});
  }
  if (to == Place::pageable) synchronize(stream, lock);
  return done();
}

cudaError_t take(void** memory, std::size_t bytes, bool pinned) {
  if (faulty()) return done();
  *memory = bytes == 0 ? nullptr : allocate(bytes, pinned, current_device());
  return bytes > 0 && *memory == nullptr ? failed(cudaErrorMemoryAllocation) : cudaSuccess;
}

cudaError_t give_back(void* memory, bool pinned) {
  StreamLock lock;
  const Allocation* const allocation = allocation_of(memory);
  synchronize_device(allocation != nullptr ? allocation->device : current_device(), lock);
  if (memory != nullptr && !release(memory, pinned)) return failed(cudaErrorInvalidValue);
  return done();
}

}  // namespace
}  // namespace emulation

using emulation::done;
using emulation::failed;

cudaError_t cudaMalloc(void** memory, std::size_t bytes) { return emulation::take(memory, bytes, false); }
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  return emulation::take(memory, bytes, true);
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) { return emulation::take(memory, bytes, true); }
cudaError_t cudaFree(void* memory) { return emulation::give_back(memory, false); }
cudaError_t cudaFreeHost(void* memory) { return emulation::give_back(memory, true); }

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  return emulation::copy({static_cast<unsigned char*>(to), static_cast<const unsigned char*>(from), to_pitch,
                          from_pitch, width, height},
                         kind, stream);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  return error != cudaSuccess ? error : cudaStreamSynchronize(nullptr);
}

cudaError_t cudaMemset2DAsync(void* memory, std::size_t pitch, int value, std::size_t width,
                              std::size_t height, cudaStream_t handle) {
  emulation::StreamLock lock;
  emulation::Stream* const stream = emulation::find_stream(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (width == 0 || height == 0) return done();
  if (width > pitch ||
      emulation::place_of(memory, (height - 1) * pitch + width) != emulation::Place::device) {
    return failed(cudaErrorInvalidValue);
  }
  emulation::enqueue(stream, {[=] {
                                for (std::size_t row = 0; row < height; ++row) {
                                  unsigned char* const to = static_cast<unsigned char*>(memory) + row * pitch;
                                  std::memset(to, value, width);
                                  emulation::note_written(to, width);
                                }
                              },
                              {},
                              nullptr,
                              nullptr});
  return done();
}

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  return cudaMemset2DAsync(memory, bytes, value, bytes, 1, stream);
}

cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  return cudaMemsetAsync(memory, value, bytes, nullptr);
}
