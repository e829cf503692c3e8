// Shuffles, votes, barriers, atomics, and what blocks tell each other.

#include "instructions.h"
#include "ptx.cuh"
#include "run.h"

namespace headwater::conformance {
namespace {

__global__ void shuffles(const std::uint32_t* in, std::uint32_t* out) {
  const int lane = static_cast<int>(threadIdx.x);
  const std::uint32_t mine = in[lane];
  out[lane * 8 + 0] = ptx::shuffle(mine, 5);
  out[lane * 8 + 1] = ptx::shuffle(mine, (lane * 7) % 32);
  out[lane * 8 + 2] = ptx::shuffle_xor(mine, 1);
  out[lane * 8 + 3] = ptx::shuffle_xor(mine, 16);
  out[lane * 8 + 4] = ptx::shuffle_down(mine, 3);
  out[lane * 8 + 5] = ptx::shuffle_up(mine, 3);
  out[lane * 8 + 6] = __float_as_uint(ptx::shuffle_xor(__uint_as_float(mine), 8));
  out[lane * 8 + 7] = static_cast<std::uint32_t>(ptx::shuffle_down(static_cast<int>(mine), 16));
}

Outcome shuffled() {
  std::vector<std::uint32_t> in = random_words(32, 8);
  for (std::uint32_t& word : in) word &= 0x7effffffU;  // no NaN, whose bits a float may lose
  Outcome outcome{"shuffles", false, words_of(256, 32, shuffles, OnDevice<std::uint32_t>(in)), {}, 0.0};
  for (std::size_t lane = 0; lane < 32; ++lane) {
    const std::size_t sources[8] = {5,
                                    lane * 7 % 32,
                                    lane ^ 1U,
                                    lane ^ 16U,
                                    lane + 3 < 32 ? lane + 3 : lane,
                                    lane >= 3 ? lane - 3 : lane,
                                    lane ^ 8U,
                                    lane + 16 < 32 ? lane + 16 : lane};
    for (const std::size_t source : sources) outcome.meaning.push_back(in[source]);
  }
  return outcome;
}

__global__ void votes(const std::uint32_t* in, std::uint32_t* out) {
  const int lane = static_cast<int>(threadIdx.x);
  out[lane * 4 + 0] = ptx::ballot(in[lane] % 3 == 0);
  out[lane * 4 + 1] = ptx::any(lane == 17) ? 1 : 0;
  out[lane * 4 + 2] = ptx::all(lane != 17) ? 1 : 0;
  out[lane * 4 + 3] = ptx::all(lane < 32) ? 1 : 0;
}

Outcome voted() {
  const std::vector<std::uint32_t> in = random_words(32, 9);
  Outcome outcome{"votes", false, words_of(128, 32, votes, OnDevice<std::uint32_t>(in)), {}, 0.0};
  double thirds = 0.0, bit = 1.0;
  for (const std::uint32_t word : in) {
    if (word % 3 == 0) thirds += bit;
    bit *= 2.0;
  }
  for (int lane = 0; lane < 32; ++lane)
    outcome.meaning.insert(outcome.meaning.end(), {thirds, 1.0, 0.0, 1.0});
  return outcome;
}

// Two warps write, tell two others by a named barrier each, and go on; those read what they were told of.
__global__ void hand_over(const std::uint32_t* in, std::uint32_t* out) {
  SHARED_ARRAY(std::uint32_t, words, [64]);
  const int thread = static_cast<int>(threadIdx.x), pair = thread / 32 % 2, lane = thread % 32;
  if (thread < 64) {
    words[thread] = in[thread];
    ptx::barrier_arrive(1 + pair, 64);
  } else {
    ptx::barrier_sync(1 + pair, 64);
    out[pair * 32 + lane] = words[pair * 32 + 31 - lane];
  }
}

Outcome handed_over() {
  const std::vector<std::uint32_t> in = random_words(64, 10);
  Outcome outcome{
      "bar.sync, bar.arrive", false, words_of(64, 128, hand_over, OnDevice<std::uint32_t>(in)), {}, 0.0};
  for (std::size_t i = 0; i < 64; ++i) outcome.meaning.push_back(in[i / 32 * 32 + 31 - i % 32]);
  return outcome;
}

__global__ void atomics(const std::uint32_t* in, std::uint32_t* out) {
  SHARED_ARRAY(unsigned, sum, [1]);
  SHARED_ARRAY(unsigned, largest, [1]);
  SHARED_ARRAY(float, floats, [1]);
  if (threadIdx.x == 0) sum[0] = 0, largest[0] = 0, floats[0] = 0.0F;
  __syncthreads();
  atomicAdd(&sum[0], in[threadIdx.x] % 1000);
  atomicMax(&largest[0], in[threadIdx.x]);
  atomicAdd(&floats[0], static_cast<float>(in[threadIdx.x] % 1000));
  __syncthreads();
  if (threadIdx.x == 0) out[0] = sum[0], out[1] = largest[0], out[2] = static_cast<std::uint32_t>(floats[0]);
}

Outcome atomically() {
  const std::vector<std::uint32_t> in = random_words(96, 11);
  Outcome outcome{"atomics", false, words_of(3, 96, atomics, OnDevice<std::uint32_t>(in)), {}, 0.0};
  double sum = 0.0, largest = 0.0;
  for (const std::uint32_t word : in) {
    sum += word % 1000;
    if (word > largest) largest = word;
  }
  outcome.meaning = {sum, largest, sum};
  return outcome;
}

// Four blocks, numbered as they begin, hand on a list of words to which each adds one; and each adds to two
// sums.
__global__ void handed_on(const std::uint32_t* in, std::uint32_t* out) {
  int* const begun = reinterpret_cast<int*>(out);
  int* const ended = begun + 1;
  std::uint32_t* const list = out + 2;
  float* const sums = reinterpret_cast<float*>(out + 6);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int number = 0;
  if (lane == 0) number = atomicAdd(begun, 1);
  number = ptx::shuffle(number, 0);
  if (lane == 0) {
    ptx::await(ended, number);
    list[number] = number == 0 ? in[0] : list[number - 1] + in[number];
    ptx::add_release(ended, 1);
  }
  ptx::add_two(sums, 1.0F, static_cast<float>(lane));
}

Outcome handed_over_by_count() {
  const std::vector<std::uint32_t> in = random_words(4, 12);
  const OnDevice<std::uint32_t> words(std::vector<std::uint32_t>(8, 0));
  const OnDevice<std::uint32_t> given(in);
  kernels::launch(handed_on, dim3(4), dim3(32), 0, nullptr, given.data(), words.data());
  check(cudaGetLastError());
  check(cudaDeviceSynchronize());
  Outcome outcome{"red, ld.acquire, red.release", false, words.host(), {4.0, 4.0}, 0.0};
  std::uint32_t sum = 0;
  for (const std::uint32_t word : in) outcome.meaning.push_back(sum += word);
  outcome.meaning.push_back(std::bit_cast<std::uint32_t>(4.0F * 32.0F));
  outcome.meaning.push_back(std::bit_cast<std::uint32_t>(4.0F * 31.0F * 16.0F));
  return outcome;
}

}  // namespace

std::vector<Outcome> lane_outcomes() {
  return {shuffled(), voted(), handed_over(), atomically(), handed_over_by_count()};
}

}  // namespace headwater::conformance
