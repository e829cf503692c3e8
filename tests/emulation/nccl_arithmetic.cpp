#include "nccl_arithmetic.h"

#include "cuda_bf16.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace emulation::nccl {
namespace {

constexpr std::size_t kChunk = 4096;  // elements

// Like the GPU's instruction, the larger of a number and a NaN is the number.
float larger(float a, float b) { return std::fmax(a, b); }
double larger(double a, double b) { return std::fmax(a, b); }
std::uint32_t larger(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a) < static_cast<std::int32_t>(b) ? b : a;
}

template <class Stored, class Sum>
void reduce(const std::vector<Bytes>& parts, ncclRedOp_t op, std::vector<unsigned char>& out) {
  std::array<Stored, kChunk> stored;
  std::array<Sum, kChunk> sum;
  const std::size_t count = out.size() / sizeof(Stored);
  for (std::size_t from = 0; from < count; from += kChunk) {
    const std::size_t n = std::min(kChunk, count - from);
    for (std::size_t part = 0; part < parts.size(); ++part) {
      std::memcpy(stored.data(), parts[part].data.data() + from * sizeof(Stored), n * sizeof(Stored));
      for (std::size_t i = 0; i < n; ++i) {
        const auto x = static_cast<Sum>(stored[i]);
        sum[i] = part == 0 ? x : (op == ncclMax ? larger(sum[i], x) : sum[i] + x);
      }
    }
    for (std::size_t i = 0; i < n; ++i) stored[i] = static_cast<Stored>(sum[i]);
    std::memcpy(out.data() + from * sizeof(Stored), stored.data(), n * sizeof(Stored));
  }
}

}  // namespace

std::size_t size_of(ncclDataType_t type) {
  switch (type) {
    case ncclInt8: return 1;
    case ncclBfloat16: return 2;
    case ncclInt32:
    case ncclFloat32: return 4;
    case ncclFloat64: return 8;
  }
  return 0;
}

bool reducible(ncclDataType_t type, ncclRedOp_t op) {
  return size_of(type) > 1 && (op == ncclSum || op == ncclMax);
}

Bytes reduced(const std::vector<Bytes>& parts, ncclDataType_t type, ncclRedOp_t op) {
  Bytes out;
  out.data.resize(parts.front().data.size());
  switch (type) {
    case ncclInt8:
      break;  // refused before
    // whose overflow is defined
    case ncclInt32: reduce<std::uint32_t, std::uint32_t>(parts, op, out.data); break;
    case ncclFloat32: reduce<float, float>(parts, op, out.data); break;
    case ncclFloat64: reduce<double, double>(parts, op, out.data); break;
    case ncclBfloat16: reduce<__nv_bfloat16, float>(parts, op, out.data); break;
  }
  for (const Bytes& part : parts) {
    if (part.written.empty()) continue;
    if (out.written.empty()) out.written.assign(out.data.size(), 1);
    for (std::size_t i = 0; i < out.written.size(); ++i) out.written[i] &= part.written[i];
  }
  return out;
}

}  // namespace emulation::nccl
