// The end of a step: the norm of the gradients, the decision to update, AdamW over a flat shard.

#include "double_sum.cuh"
#include "dropout.cuh"
#include "rows.cuh"

#include <cmath>

namespace headwater::kernels {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMaxBlocks = 132 * 8;

// body(first element) for each chunk of kN elements of [begin, end), over a grid in one dimension.
template <int kN, class Body>
__device__ __forceinline__ void for_each(std::int64_t begin, std::int64_t end, const Body& body) {
  for (std::int64_t i = begin + (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kN;
       i < end; i += static_cast<std::int64_t>(gridDim.x) * kThreads * kN) {
    body(i);
  }
}

// ---- norm: a sum for each block, then one block adds them up ----

template <int kN>
__device__ __forceinline__ double squares_of(const float* x, std::int64_t begin, std::int64_t end) {
  double sum = 0.0;
  for_each<kN>(begin, end, [&](std::int64_t i) {
    float v[kN];
    load_once<kN>(x + i, v);
    for (int k = 0; k < kN; ++k) sum += static_cast<double>(v[k]) * static_cast<double>(v[k]);
  });
  return sum;
}

// The first `whole` elements by 16 bytes.
__global__ void __launch_bounds__(kThreads)
    squares_kernel(const float* x, std::int64_t whole, std::int64_t n, double* sums) {
  const double mine = squares_of<4>(x, 0, whole) + squares_of<1>(x, whole, n);
  const double all = block_sum_of_doubles<kThreads>(mine);
  if (threadIdx.x == 0) sums[blockIdx.x] = all;
}

__global__ void __launch_bounds__(kThreads)
    add_sums_kernel(const double* sums, std::int64_t count, double* total) {
  double mine = 0.0;
  for (std::int64_t i = threadIdx.x; i < count; i += kThreads) mine += sums[i];
  const double all = block_sum_of_doubles<kThreads>(mine);
  if (threadIdx.x == 0) *total += all;
}

// ---- decision ----

__global__ void __launch_bounds__(1) decide_step_kernel(double clip, StepScalars s) {
  const double norm_squared = *s.norm_squared;
  const bool finite = fabs(*s.loss_sum) < HUGE_VAL && norm_squared < HUGE_VAL;  // false for NaN
  *s.apply = finite ? 1.0 : 0.0;
  *s.updates += finite ? 1.0 : 0.0;
  *s.clip_factor = clip > 0.0 && finite ? fmin(1.0, clip / (sqrt(norm_squared) + 1e-6)) : 1.0;
}

// ---- AdamW ----

// The numbers that are the same for all elements of an update.
struct Update {
  float beta1, rest1, beta2, rest2;  // β and 1 − β
  float correction1, correction2;    // 1 / (1 − β^t), made on the device, where t is
  float epsilon, decay, rate, clip;
  std::uint64_t number;  // t
};

// w, rounded to bf16 up or down with the probability that makes its mean w; random: 16 bits that count.
__device__ __forceinline__ float rounded_by_chance(float w, std::uint32_t random) {
  const std::uint32_t bits = __float_as_uint(w);
  if ((bits & 0x7f800000U) == 0x7f800000U) return w;  // not finite
  return __uint_as_float((bits + (random & 0xffffU)) & 0xffff0000U);
}

__device__ __forceinline__ std::uint64_t element_of(const StochasticRounding& rounding, std::int64_t i) {
  const std::int64_t n = rounding.begin + i;
  if (rounding.columns == 0) return static_cast<std::uint64_t>(rounding.first + n);
  const std::int64_t above = n / rounding.columns;
  return static_cast<std::uint64_t>(rounding.first + above * rounding.row + n - above * rounding.columns);
}

template <class T, int kN>
__device__ __forceinline__ void update(const Update& u, const AdamW<T>& args, std::int64_t begin,
                                       std::int64_t end) {
  for_each<kN>(begin, end, [&](std::int64_t i) {
    float g[kN], m[kN], v[kN], w[kN];
    load_once<kN>(args.gradient + i, g);
    load<kN>(args.first_moment + i, m);
    load<kN>(args.second_moment + i, v);
    load<kN>(args.master + i, w);
    for (int k = 0; k < kN; ++k) {
      g[k] *= u.clip;
      m[k] = u.beta1 * m[k] + u.rest1 * g[k];
      v[k] = u.beta2 * v[k] + u.rest2 * (g[k] * g[k]);
      const float step = m[k] * u.correction1 / (sqrtf(v[k] * u.correction2) + u.epsilon);
      w[k] -= u.rate * (step + u.decay * w[k]);
    }
    store<kN>(args.first_moment + i, m);
    store<kN>(args.second_moment + i, v);
    store<kN>(args.master + i, w);
    if (args.weight == nullptr) return;
    if (args.rounding.on) {
      const std::uint64_t element = element_of(args.rounding, i), key = args.rounding.key;
      const uint4 words = philox<10>(static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32U),
                                     element / 4, u.number);
      if constexpr (kN == 4) {  // the chunk begins with word 0
        w[0] = rounded_by_chance(w[0], words.x), w[1] = rounded_by_chance(w[1], words.y);
        w[2] = rounded_by_chance(w[2], words.z), w[3] = rounded_by_chance(w[3], words.w);
      } else {
        const std::uint64_t which = element % 4;
        w[0] = rounded_by_chance(w[0], which == 0   ? words.x
                                       : which == 1 ? words.y
                                       : which == 2 ? words.z
                                                    : words.w);
      }
    }
    store<kN>(args.weight + i, w);
  });
}

// Whether the words of four elements from a multiple of 4 on are one block of Philox.
bool by_whole_blocks(const StochasticRounding& r) {
  return r.begin % 4 == 0 && r.first % 4 == 0 && r.columns % 4 == 0 && r.row % 4 == 0;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    adamw_kernel(AdamW<T> args, Update constants, double log_beta1, double log_beta2, StepScalars s,
                 std::int64_t whole) {
  SHARED_ARRAY(Update, shared, [1]);
  if (*s.apply == 0.0) return;
  if (threadIdx.x == 0) {
    const double t = *s.updates;
    Update u = constants;
    u.correction1 = static_cast<float>(-1.0 / expm1(t * log_beta1));  // 1 − β^t = −(e^(t ln β) − 1)
    u.correction2 = static_cast<float>(-1.0 / expm1(t * log_beta2));
    u.rate = static_cast<float>(*s.learning_rate);
    u.clip = static_cast<float>(*s.clip_factor);
    u.number = static_cast<std::uint64_t>(t);
    shared[0] = u;
  }
  __syncthreads();
  const Update u = shared[0];
  update<T, 4>(u, args, 0, whole);
  update<T, 1>(u, args, whole, args.n);
}

}  // namespace

void add_squared_norm(const float* x, double* sum, void* workspace, std::int64_t n, cudaStream_t stream) {
  if (n == 0) return;
  auto* sums = static_cast<double*>(workspace);
  const std::int64_t blocks = norm_blocks(n), whole = aligned(one_row(x), 16) ? n - n % 4 : 0;
  launch(squares_kernel, static_cast<unsigned>(blocks), kThreads, 0, stream, x, whole, n, sums);
  launch(add_sums_kernel, 1, kThreads, 0, stream, sums, blocks, sum);
}

void decide_step(double clip, const StepScalars& scalars, cudaStream_t stream) {
  launch(decide_step_kernel, 1, 1, 0, stream, clip, scalars);
}

template <class T>
void adamw(const AdamW<T>& args, const StepScalars& scalars, cudaStream_t stream) {
  if (args.n == 0) return;
  AdamW<T> a = args;
  if (static_cast<const void*>(a.weight) == a.master) a.weight = nullptr;
  a.rounding.on = a.rounding.on && sizeof(T) == 2;
  Update u{};
  u.beta1 = static_cast<float>(a.beta1), u.rest1 = static_cast<float>(1.0 - a.beta1);
  u.beta2 = static_cast<float>(a.beta2), u.rest2 = static_cast<float>(1.0 - a.beta2);
  u.epsilon = static_cast<float>(a.epsilon), u.decay = static_cast<float>(a.weight_decay);
  const bool vectors = aligned(one_row(a.master), 16) && aligned(one_row(a.gradient), 16) &&
                       aligned(one_row(a.first_moment), 16) && aligned(one_row(a.second_moment), 16) &&
                       aligned(one_row(a.weight), 4 * static_cast<int>(sizeof(T))) &&
                       (!a.rounding.on || by_whole_blocks(a.rounding));
  const std::int64_t whole = vectors ? a.n - a.n % 4 : 0, threads = std::max(whole / 4, a.n - whole);
  const std::int64_t blocks = std::clamp<std::int64_t>((threads + kThreads - 1) / kThreads, 1, kMaxBlocks);
  launch(adamw_kernel<T>, static_cast<unsigned>(blocks), kThreads, 0, stream, a, u, std::log(a.beta1),
         std::log(a.beta2), scalars, whole);
}

template void adamw(const AdamW<float>&, const StepScalars&, cudaStream_t);
template void adamw(const AdamW<bf16>&, const StepScalars&, cudaStream_t);

}  // namespace headwater::kernels
