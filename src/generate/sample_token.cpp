#include "headwater/base/random.h"
#include "headwater/generate/generator.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace headwater {

std::int32_t sample_token(std::span<const float> logits, const Sampling& sampling, std::int64_t number) {
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](std::int32_t a, std::int32_t b) {
    const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
    return x > y || (x == y && a < b);  // equal logits: the smaller id
  };
  if (sampling.temperature <= 0.0) return *std::min_element(order.begin(), order.end(), before);
  std::sort(order.begin(), order.end(), before);
  if (sampling.top_k > 0 && static_cast<std::size_t>(sampling.top_k) < order.size())
    order.resize(static_cast<std::size_t>(sampling.top_k));

  std::vector<double> weight;
  double sum = 0.0;
  for (const std::int32_t id : order) {
    const double difference = static_cast<double>(logits[static_cast<std::size_t>(id)]) -
                              static_cast<double>(logits[static_cast<std::size_t>(order.front())]);
    sum += weight.emplace_back(std::exp(difference / sampling.temperature));
  }
  // The smallest set of most likely tokens whose share reaches top_p.
  std::size_t kept = 0;
  double nucleus = 0.0;
  do nucleus += weight[kept++];
  while (kept < weight.size() && nucleus < sampling.top_p * sum);

  double left =
      uniform(derive(RandomKey{sampling.seed}, "sampling"), static_cast<std::uint64_t>(number)) * nucleus;
  for (std::size_t i = 0; i + 1 < kept; ++i) {
    if (left < weight[i]) return order[i];
    left -= weight[i];
  }
  return order[kept - 1];
}

}  // namespace headwater
