#include "headwater/model/model_spec.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

TEST(ModelSpec, LayersThatDifferAreNotAlike) {
  ModelSpec model;
  LayerSpec wide, narrow;
  wide.ffn = 64;
  narrow.ffn = 32;
  model.layers = {wide, narrow, wide, wide, narrow};
  const int expected[] = {0, 1, 2, 1, 1, 2, 6};  // the embedding, the layers, the head
  for (int unit = 0; unit < model.units(); ++unit) EXPECT_EQ(model.first_alike(unit), expected[unit]);
}

}  // namespace
}  // namespace headwater
