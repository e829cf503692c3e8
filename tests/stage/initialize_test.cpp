// Weights that benchmarks begin with: of the distribution that training begins with, made by copies.

#include "headwater/stage/initialize.h"

#include "headwater/backend/make_backend.h"

#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace headwater {
namespace {

// Everything of one rank of a model, in f32.
struct Weights {
  ParameterLayout layout;
  std::vector<float> weights, masters;

  std::vector<float> of(const char* name) const {
    for (const ParameterPlace& place : layout.places())
      if (place.spec.name == name)
        return {weights.begin() + place.offset, weights.begin() + place.offset + place.slice().count};
    return {};
  }
};

template <class Fill>
Weights filled(Device device, Precision precision, const Fill& fill) {
  ModelConfig config = test::small_model({.grouped = true}, 8);
  config.hidden_size = 96;
  config.vocab_size = 2000;
  const ModelSpec model = expand(config);
  const ParameterLayout layout(model, {{0, model.units(), true, true}}, {});
  const std::unique_ptr<Backend> backend = make_backend({device});
  Arena arena(device);
  for (const char* segment : {"weights", "master", "gradients"})
    arena.reserve(segment, aligned(4 * layout.elements()));
  arena.reserve("optimizer", 2 * aligned(4 * layout.elements()));
  ParameterStore store(layout, arena, precision, true);
  fill(store, *backend);
  Weights result{layout, std::vector<float>(static_cast<std::size_t>(layout.elements())), {}};
  const auto host = [&](std::vector<float>& values) {
    return TensorView(values.data(), DType::f32, {std::ssize(values)});
  };
  download(*backend, store.weights(), host(result.weights));
  result.masters.resize(static_cast<std::size_t>(store.masters().elements()));
  download(*backend, store.masters(), host(result.masters));
  return result;
}

double root_mean_square(const std::vector<float>& values) {
  double sum = 0.0;
  for (const float x : values) sum += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

TEST(InitializeByCopies, HasTheScalesOfTraining) {
  std::vector<Device> devices = {Device{}};
  if (built_with_cuda()) devices.push_back({Device::Kind::cuda, 0});
  for (const Device device : devices)
    for (const DType compute : {DType::f32, DType::bf16}) {
      const Precision precision{compute, DType::f32};
      const Weights exact =
          filled(device, precision, [](ParameterStore& s, Backend& b) { initialize(s, b, 1, 1); });
      const Weights copies =
          filled(device, precision, [](ParameterStore& s, Backend& b) { initialize_by_copies(s, b); });
      EXPECT_EQ(copies.masters, copies.weights);
      for (const ParameterPlace& place : exact.layout.places()) {
        const char* name = place.spec.name.c_str();
        const std::vector<float> a = exact.of(name), b = copies.of(name);
        ASSERT_EQ(a.size(), b.size());
        // four standard deviations
        const double tolerance = 4.0 / std::sqrt(2.0 * static_cast<double>(a.size()));
        EXPECT_NEAR(root_mean_square(b), root_mean_square(a), 2.0 * tolerance * root_mean_square(a)) << name;
        const bool random =
            place.spec.init.kind == Init::Kind::normal || place.spec.init.kind == Init::Kind::uniform;
        EXPECT_EQ(a == b, !random) << name;
      }
      const std::vector<float> embedding = copies.of("embedding.weight"),
                               up = copies.of("layers.0.mlp.up.weight");
      EXPECT_NE(embedding[0], embedding[96]);
      EXPECT_NE(up, copies.of("layers.0.mlp.gate.weight"));
      EXPECT_NE(up, copies.of("layers.1.mlp.up.weight"));
    }
}

}  // namespace
}  // namespace headwater
