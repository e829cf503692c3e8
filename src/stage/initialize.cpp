#include "headwater/stage/initialize.h"

#include "headwater/base/random.h"

#include <algorithm>
#include <map>
#include <thread>
#include <vector>

namespace headwater {
namespace {

double element(const Init& init, RandomKey key, std::uint64_t index) {
  switch (init.kind) {
    case Init::Kind::ones: return 1.0;
    case Init::Kind::zeros: return 0.0;
    case Init::Kind::normal: return init.scale * normal(key, index);
    case Init::Kind::uniform: return init.scale * (2.0 * uniform(key, index) - 1.0);
  }
  return 0.0;
}

// Calls body(begin, end) on `threads` threads over [0, count).
template <class Body>
void in_parallel(std::int64_t count, int threads, const Body& body) {
  std::vector<std::jthread> pool;
  const std::int64_t share = (count + threads - 1) / threads;
  for (int t = 1; t < threads; ++t)
    pool.emplace_back(
        [&body, t, share, count] { body(std::min(count, t * share), std::min(count, (t + 1) * share)); });
  body(0, std::min(count, share));
}

// Numbers of a distribution, at scale 1.
std::vector<float> numbers_of(Init::Kind kind) {
  // whole vectors, and a prime, so that rows that are near each other are not equal
  constexpr std::size_t kMany = 8 * 8191;
  const bool random = kind == Init::Kind::normal || kind == Init::Kind::uniform;
  const RandomKey key = derive(RandomKey{1}, "weights of a benchmark");
  std::vector<float> numbers(random ? kMany : 1);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    numbers[i] = static_cast<float>(element({kind, 1.0}, key, i));
  return numbers;
}

}  // namespace

void initialize(ParameterStore& store, Backend& backend, std::uint64_t seed, int threads) {
  for (const ParameterPlace& place : store.layout().places()) {
    const RandomKey key = derive(derive(RandomKey{seed}, "initial weights"), place.spec.name);
    const Slice all = whole(place.spec.shape), here = place.slice();
    std::vector<float> values(static_cast<std::size_t>(here.count));
    in_parallel(here.count, threads, [&](std::int64_t begin, std::int64_t end) {
      for_shared_runs(
          all, {here.box, begin, end - begin}, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
            for (std::int64_t i = 0; i < count; ++i)
              values[static_cast<std::size_t>(begin + to + i)] =
                  static_cast<float>(element(place.spec.init, key, static_cast<std::uint64_t>(from + i)));
          });
    });
    store.set_weights(backend, place, TensorView(values.data(), DType::f32, {here.count}));
  }
}

void initialize_by_copies(ParameterStore& store, Backend& backend) {
  std::map<Init::Kind, std::vector<float>> known;
  for (const ParameterPlace& place : store.layout().places()) {
    const Init& init = place.spec.init;
    std::vector<float>& numbers = known[init.kind];
    if (numbers.empty()) numbers = numbers_of(init.kind);
    // Each parameter begins at another of them: queries are not keys.
    const auto first = derive(RandomKey{1}, place.spec.name).value % numbers.size();
    std::vector<float> values(numbers.size());
    std::rotate_copy(numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(first), numbers.end(),
                     values.begin());
    if (init.kind == Init::Kind::normal || init.kind == Init::Kind::uniform)
      for (float& value : values) value *= static_cast<float>(init.scale);
    store.repeat_weights(backend, place, TensorView(values.data(), DType::f32, {std::ssize(values)}));
  }
}

}  // namespace headwater
