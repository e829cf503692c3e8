#include "headwater/data/blend.h"

#include "headwater/base/error.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace headwater {
namespace {

// Rounds the shares of the period by largest remainder. A source that got nothing then gets 1 from the
// largest.
std::vector<std::int64_t> quotas_of(std::span<const double> weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::int64_t> quotas;
  std::vector<double> remainders;
  for (const double weight : weights) {
    const double share = weight / total * Blend::kPeriod;
    quotas.push_back(static_cast<std::int64_t>(std::floor(share)));
    remainders.push_back(share - std::floor(share));
  }
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return remainders[a] > remainders[b]; });
  const std::int64_t missing =
      Blend::kPeriod - std::accumulate(quotas.begin(), quotas.end(), std::int64_t{0});
  for (std::int64_t i = 0; i < missing; ++i) ++quotas[order[static_cast<std::size_t>(i) % order.size()]];
  for (std::int64_t& quota : quotas) {
    if (quota > 0) continue;
    --*std::max_element(quotas.begin(), quotas.end());
    quota = 1;
  }
  return quotas;
}

}  // namespace

Blend::Blend(std::span<const double> weights) : quotas_(quotas_of(weights)) {
  HW_CHECK(!weights.empty() && weights.size() <= kMostSources, "blend of {} sources", weights.size());
  if (weights.size() == 1) return;

  // Tijdeman's rule, in integers. There are k sources and d = 2k − 2. If source i has been taken x_i times
  // before step t, its lag is a_i = q_i t − kPeriod x_i. The sources with d a_i >= kPeriod may be taken
  // without running ahead. Of these the rule takes the one whose deadline is nearest, which is ((d − 1)
  // kPeriod − d a_i) / q_i steps from now.
  const auto d = static_cast<std::int64_t>(2 * weights.size() - 2);
  std::vector<std::int64_t> taken(weights.size(), 0);
  slots_.reserve(kPeriod);
  for (std::int64_t step = 1; step <= kPeriod; ++step) {
    std::size_t best = weights.size();
    std::int64_t best_slack = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const std::int64_t lag = quotas_[i] * step - kPeriod * taken[i];
      if (d * lag < kPeriod) continue;
      const std::int64_t slack = (d - 1) * kPeriod - d * lag;
      if (best == weights.size() || slack * quotas_[best] < best_slack * quotas_[i]) {
        best = i;
        best_slack = slack;
      }
    }
    HW_CHECK(best < weights.size(), "no source may be taken at step {}", step);
    slots_.push_back({static_cast<std::int32_t>(best), static_cast<std::int32_t>(taken[best]++)});
  }
}

Blend::Place Blend::operator()(std::int64_t n) const {
  HW_CHECK(n >= 0, "sample {}", n);
  if (slots_.empty()) return {0, n};
  const Slot& slot = slots_[static_cast<std::size_t>(n % kPeriod)];
  return {slot.source, n / kPeriod * quotas_[static_cast<std::size_t>(slot.source)] + slot.rank};
}

}  // namespace headwater
