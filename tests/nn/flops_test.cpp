#include "headwater/nn/flops.h"

#include "headwater/config/load_config.h"
#include "headwater/config/presets.h"
#include "headwater/nn/model_units.h"

#include "tests/support/models.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

// Multiply-adds of one sample of S tokens, counted product by product, query by query.
double multiply_adds(const test::ModelOptions& options, int sequence) {
  const int H = 12, P = 24, K = options.grouped ? 8 : 24, F = 20, C = 6, V = 19;
  double count = 0.0;
  for (int token = 0; token < sequence; ++token) {
    for (int layer = 0; layer < options.layers; ++layer) {
      count += P * H + K * H + K * H + H * P;               // q, k, v, o
      count += F * H + F * H + H * F;                       // gate, up, down
      if (options.lfa) count += 2 * (C * H) + 2 * (H * C);  // two taps of each convolution
      count += (token + 1) * P + (token + 1) * P;           // scores of the keys so far, and their values
    }
    count += V * H;
  }
  return count;
}

TEST(Flops, ByHand) {
  constexpr int kSequence = 7;
  for (const test::ModelOptions& options :
       {test::ModelOptions{}, {.lfa = false}, {.grouped = true}, {.tied = false, .layers = 3}}) {
    const double expected = 3.0 * 2.0 * multiply_adds(options, kSequence) / kSequence;
    EXPECT_DOUBLE_EQ(model_flops_per_token(expand(test::small_model(options, 8)), kSequence), expected);
  }
}

// Six per weight that is multiplied by, and attention.
TEST(Flops, OfThePublishedModels) {
  const ModelSpec model = expand(resolved(preset("yuan2-51b"), 4096));
  double weights = 0.0;
  for (const ParameterSpec& spec : parameters(model))
    if (spec.decays) weights += static_cast<double>(spec.elements());  // the embedding's as the head's
  const double attention = 3.0 * 42 * 2 * 2 * 8192 * (4096 + 1) / 2.0;
  EXPECT_DOUBLE_EQ(model_flops_per_token(model, 4096), 6.0 * weights + attention);
}

}  // namespace
}  // namespace headwater
