#include "headwater/base/glob.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

TEST(Glob, MatchesWholeNames) {
  EXPECT_TRUE(glob_matches("layers.0.*", "layers.0.mlp.up.weight"));
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("*.weight", "embedding.weight"));
  EXPECT_TRUE(glob_matches("layers.?.mlp.*.weight", "layers.7.mlp.up.weight"));
  EXPECT_TRUE(glob_matches("a*b*c", "a-b-b-c"));
  EXPECT_FALSE(glob_matches("layers.0.*", "layers.10.mlp.up.weight"));
  EXPECT_FALSE(glob_matches("layers.?.mlp.*", "layers.12.mlp.up.weight"));
  EXPECT_FALSE(glob_matches("embedding", "embedding.weight"));
  EXPECT_FALSE(glob_matches("a*b*c", "a-c-b"));
  EXPECT_FALSE(glob_matches("", "a"));
}

TEST(Glob, CountsTheCharactersThatDiffer) {
  EXPECT_EQ(glob_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(glob_distance("", "abc"), 3U);
  EXPECT_EQ(glob_distance("abc", ""), 3U);
  EXPECT_EQ(glob_distance("layers.9.*", "layers.0.mlp.up.weight"), 1U);
  EXPECT_EQ(glob_distance("embeding.*", "embedding.weight"), 1U);
  EXPECT_EQ(glob_distance("?", ""), 1U);
}

}  // namespace
}  // namespace headwater
