#include "headwater/layout/tensor_home.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

ActivationSpec spec(Pass made, Kept kept, Dropped dropped = Dropped::by_full) {
  return {"x", {4}, DType::f32, made, kept, dropped};
}

constexpr UnitPass kPasses[] = {UnitPass::forward, UnitPass::backward, UnitPass::input_gradient};

std::vector<Home> homes(const ActivationSpec& of, Recompute recompute) {
  std::vector<Home> homes;
  for (const UnitPass pass : kPasses) homes.push_back(home_of(of, recompute, pass));
  return homes;
}

TEST(TensorHome, WhatForwardKeepsHasOneSlotThroughout) {
  for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
    EXPECT_EQ(homes(spec(Pass::forward, Kept::until_input_gradient, Dropped::never), recompute),
              std::vector<Home>(3, Home::slot));
    EXPECT_EQ(homes(spec(Pass::forward, Kept::until_weight_gradient, Dropped::never), recompute),
              std::vector<Home>(3, Home::weight_slot));
    EXPECT_EQ(homes(spec(Pass::forward, Kept::scratch), recompute),
              std::vector<Home>(3, Home::forward_scratch));
  }
}

// What is computed again is scratch, but for what a later weight gradient needs of it.
TEST(TensorHome, WhatIsDroppedLivesForItsPassOrUntilTheWeightGradient) {
  const auto early = spec(Pass::forward, Kept::until_input_gradient, Dropped::by_selective),
             late = spec(Pass::forward, Kept::until_weight_gradient, Dropped::by_selective);
  for (const Recompute recompute : {Recompute::selective, Recompute::full}) {
    EXPECT_EQ(homes(early, recompute), std::vector<Home>(3, Home::pass_scratch));
    EXPECT_EQ(homes(late, recompute),
              (std::vector<Home>{Home::pass_scratch, Home::pass_scratch, Home::delayed_slot}));
  }
  EXPECT_EQ(homes(early, Recompute::none), std::vector<Home>(3, Home::slot));
  EXPECT_EQ(homes(spec(Pass::forward, Kept::until_weight_gradient, Dropped::by_full), Recompute::selective),
            std::vector<Home>(3, Home::weight_slot));
}

TEST(TensorHome, WhatBackwardMakesNeedsASlotOnlyWhereTheGradientsAreTakenApart) {
  EXPECT_EQ(homes(spec(Pass::backward, Kept::scratch), Recompute::none),
            (std::vector<Home>{Home::none, Home::backward_scratch, Home::backward_scratch}));
  EXPECT_EQ(homes(spec(Pass::backward, Kept::until_weight_gradient), Recompute::none),
            (std::vector<Home>{Home::none, Home::backward_scratch, Home::delayed_slot}));
  EXPECT_EQ(homes(spec(Pass::backward, Kept::between_gradients), Recompute::none),
            (std::vector<Home>{Home::none, Home::none, Home::delayed_slot}));
}

}  // namespace
}  // namespace headwater
