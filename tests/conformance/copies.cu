// cp.async with all its sizes, with zero fill, in groups; 16-byte loads and stores.

#include "instructions.h"
#include "ptx.cuh"
#include "run.h"

namespace headwater::conformance {
namespace {

// Thread t copies its kBytes, of which the first (t · kBytes / 4) % (kBytes + 1) come from global memory.
template <int kBytes>
__global__ void copy_with_zeros(const std::uint32_t* in, std::uint32_t* out) {
  constexpr int kWords = kBytes / 4;
  SHARED_ARRAY(uint4, tile, [32]);
  auto* const words = reinterpret_cast<std::uint32_t*>(tile);
  const int lane = static_cast<int>(threadIdx.x);
  ptx::cp_async<kBytes>(words + lane * kWords, in + lane * kWords, lane * kWords % (kBytes + 1));
  ptx::cp_async_commit();
  ptx::cp_async_wait<0>();
  for (int i = 0; i < kWords; ++i) out[lane * kWords + i] = words[lane * kWords + i];
}

template <int kBytes>
Outcome zero_filled(const char* name) {
  constexpr std::size_t kWords = kBytes / 4;
  const std::vector<std::uint32_t> in = random_words(32 * kWords, 5);
  Outcome outcome{
      name, false, words_of(32 * kWords, 32, copy_with_zeros<kBytes>, OnDevice<std::uint32_t>(in)), {}, 0.0};
  for (std::size_t lane = 0; lane < 32; ++lane) {
    const std::size_t copied = lane * kWords % (kBytes + 1);  // bytes; a word may be copied in part
    for (std::size_t i = 0; i < kWords; ++i) {
      const std::size_t of_word = copied <= 4 * i ? 0 : (copied - 4 * i < 4 ? copied - 4 * i : 4);
      const std::uint32_t mask = of_word == 4 ? 0xffffffffU : (1U << 8 * of_word) - 1;
      outcome.meaning.push_back(in[lane * kWords + i] & mask);
    }
  }
  return outcome;
}

// Two groups; after waiting for the first it is passed on through another thread, and the second lands later.
__global__ void copy_in_groups(const std::uint32_t* in, std::uint32_t* out) {
  SHARED_ARRAY(uint4, tile, [2 * 64]);
  auto* const words = reinterpret_cast<std::uint32_t*>(tile);
  const int thread = static_cast<int>(threadIdx.x);
  for (int group = 0; group < 2; ++group) {
    ptx::cp_async<16>(tile + group * 64 + thread, in + (group * 64 + thread) * 4);
    ptx::cp_async_commit();
  }
  ptx::cp_async_wait<1>();
  __syncthreads();
  out[thread] = words[255 - thread * 4];
  ptx::cp_async_wait<0>();
  __syncthreads();
  out[64 + thread] = words[256 + 255 - thread * 4];
}

Outcome groups() {
  const std::vector<std::uint32_t> in = random_words(2 * 256, 6);
  Outcome outcome{
      "cp.async groups", false, words_of(128, 64, copy_in_groups, OnDevice<std::uint32_t>(in)), {}, 0.0};
  for (std::size_t group = 0; group < 2; ++group) {
    for (std::size_t thread = 0; thread < 64; ++thread)
      outcome.meaning.push_back(in[group * 256 + 255 - thread * 4]);
  }
  return outcome;
}

__global__ void vector_accesses(const std::uint32_t* in, std::uint32_t* out) {
  const int lane = static_cast<int>(threadIdx.x);
  const uint4 plain = ptx::load_16(in + 8 * lane), once = ptx::load_16_once(in + 8 * lane + 4);
  ptx::store_16(out + 8 * lane, make_uint4(plain.w, plain.z, plain.y, plain.x));
  ptx::store_16_streaming(out + 8 * lane + 4, make_uint4(once.w, once.z, once.y, once.x));
}

Outcome vectors() {
  const std::vector<std::uint32_t> in = random_words(256, 7);
  Outcome outcome{"16-byte loads and stores",
                  false,
                  words_of(256, 32, vector_accesses, OnDevice<std::uint32_t>(in)),
                  {},
                  0.0};
  for (std::size_t i = 0; i < 256; ++i) outcome.meaning.push_back(in[i / 4 * 4 + 3 - i % 4]);
  return outcome;
}

}  // namespace

std::vector<Outcome> copy_outcomes() {
  return {zero_filled<4>("cp.async.4"), zero_filled<8>("cp.async.8"), zero_filled<16>("cp.async.16"),
          groups(), vectors()};
}

}  // namespace headwater::conformance
