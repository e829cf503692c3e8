// The end of a step: norm, the decision to update, AdamW.

#include "headwater/base/random.h"

#include "checks.h"
#include "cpu_catalogue.h"
#include "parallel.h"
#include "vector_math.h"

#include <bit>
#include <cmath>
#include <type_traits>

namespace headwater::cpu {
namespace {

double& at(double* scalars, StepScalar which) { return scalars[static_cast<std::int64_t>(which)]; }

// The numbers of an update that are the same for all elements.
struct Update {
  float beta1, rest1, beta2, rest2;  // β and 1 − β
  float correction1, correction2;    // 1 / (1 − β^t)
  float epsilon, decay, rate, clip;
};

template <class T>
void update(const Update& u, std::int64_t count, const float* gradient, float* master, float* first,
            float* second, T* weight) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * u.clip;
    const float m = u.beta1 * first[i] + u.rest1 * g;
    const float v = u.beta2 * second[i] + u.rest2 * (g * g);
    const float step = m * u.correction1 / (std::sqrt(v * u.correction2) + u.epsilon);
    const float w = master[i] - u.rate * (step + u.decay * master[i]);
    first[i] = m;
    second[i] = v;
    master[i] = w;
    store(w, weight + i);
  }
}

// The weights once more from their new masters, by chance: what is cut off is taken for a probability.
void round_by_chance(const StochasticRounding& rounding, std::uint64_t updates, std::int64_t begin,
                     std::int64_t end, const float* master, bf16* weight) {
  for (std::int64_t i = begin; i < end; ++i) {
    if (!std::isfinite(master[i])) continue;
    const std::uint64_t element = rounding.element(i);
    const std::uint32_t chance = philox(RandomKey{rounding.key}, element / 4, updates)[element % 4] & 0xffffU;
    weight[i].bits = static_cast<std::uint16_t>((std::bit_cast<std::uint32_t>(master[i]) + chance) >> 16U);
  }
}

// In f64, in sums side by side so that none waits for the addition before it.
double squared_norm(const float* x, std::int64_t count) {
  constexpr std::int64_t kSums = 32;
  double sums[kSums] = {};
  std::int64_t i = 0;
  for (; i + kSums <= count; i += kSums)
    for (std::int64_t k = 0; k < kSums; ++k)
      sums[k] += static_cast<double>(x[i + k]) * static_cast<double>(x[i + k]);
  double total = 0.0;
  for (const double sum : sums) total += sum;
  for (; i < count; ++i) total += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return total;
}

}  // namespace

void CpuBackend::compute(const op::AddSquaredNorm& norm) {
  constexpr std::int64_t kLine = Scratch::kAlign / static_cast<std::int64_t>(sizeof(double));
  double* partials = scratch_of(norm).take<double>(threads_ * kLine);
  const float* values = norm.x.as<float>();
  parallel_parts(threads_, norm.x.elements(), [&](std::int64_t begin, std::int64_t end, int part) {
    partials[part * kLine] = squared_norm(values + begin, end - begin);
  });
  for (int part = 0; part < threads_; ++part) *norm.sum.as<double>() += partials[part * kLine];
}

void CpuBackend::compute(const op::DecideStep& decide) {
  double* s = decide.scalars.as<double>();
  const double norm_squared = at(s, StepScalar::norm_squared);
  const bool finite = std::isfinite(at(s, StepScalar::loss_sum)) && std::isfinite(norm_squared);
  at(s, StepScalar::apply) = finite ? 1.0 : 0.0;
  at(s, StepScalar::updates) += finite ? 1.0 : 0.0;
  at(s, StepScalar::clip_factor) =
      decide.clip > 0.0 && finite ? std::min(1.0, decide.clip / (std::sqrt(norm_squared) + 1e-6)) : 1.0;
}

void CpuBackend::compute(const op::AdamW& adamw) {
  float* master = adamw.master.as<float>();
  const float* gradient = adamw.gradient.as<float>();
  float *first = adamw.first_moment.as<float>(), *second = adamw.second_moment.as<float>();
  double* s = adamw.scalars.as<double>();
  if (at(s, StepScalar::apply) == 0.0) return;
  const double t = at(s, StepScalar::updates);
  Update u;
  u.beta1 = static_cast<float>(adamw.beta1);
  u.rest1 = static_cast<float>(1.0 - adamw.beta1);
  u.beta2 = static_cast<float>(adamw.beta2);
  u.rest2 = static_cast<float>(1.0 - adamw.beta2);
  u.correction1 = static_cast<float>(1.0 / (1.0 - std::pow(adamw.beta1, t)));
  u.correction2 = static_cast<float>(1.0 / (1.0 - std::pow(adamw.beta2, t)));
  u.epsilon = static_cast<float>(adamw.epsilon);
  u.decay = static_cast<float>(adamw.weight_decay);
  u.rate = static_cast<float>(at(s, StepScalar::learning_rate));
  u.clip = static_cast<float>(at(s, StepScalar::clip_factor));
  with_compute_type(adamw.weight.dtype, [&](auto type) {
    using T = decltype(type);
    T* weight = adamw.weight.as<T>();
    parallel_parts(threads_, adamw.master.elements(), [&](std::int64_t begin, std::int64_t end, int) {
      update(u, end - begin, gradient + begin, master + begin, first + begin, second + begin, weight + begin);
      if constexpr (std::is_same_v<T, bf16>)
        if (adamw.rounding.on)
          round_by_chance(adamw.rounding, static_cast<std::uint64_t>(t), begin, end, master, weight);
    });
  });
}

}  // namespace headwater::cpu
