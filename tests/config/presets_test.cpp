#include "headwater/config/presets.h"
#include "headwater/config/load_config.h"
#include "tests/config/refusal.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

// Counts the parameters: for each layer attention, MLP, the filter with its biases and gain, and two norms;
// then the tied embedding and the last norm.
std::int64_t yuan2_parameters(const ModelConfig& given) {
  const ModelConfig m = resolved(given, 1);
  const std::int64_t h = m.hidden_size;
  const std::int64_t attention =
      2 * h * m.num_attention_heads * m.kv_channels + 2 * h * m.num_query_groups * m.kv_channels;
  const std::int64_t filter = 2 * (h * h / 2) + h / 2 + 2 * (h * h / 2) + h + h;
  return m.num_layers * (attention + 3 * h * m.ffn_hidden_size + filter + 2 * h) + m.vocab_size * h + h;
}

TEST(Presets, PublishedParameterCounts) {
  EXPECT_EQ(yuan2_parameters(preset("yuan2-2.1b")), 2'088'724'480);
  EXPECT_EQ(yuan2_parameters(preset("yuan2-51b")), 51'842'105'344);
  EXPECT_EQ(yuan2_parameters(preset("yuan2-102b")), 102'577'954'816);
}

TEST(Presets, PublishedDropoutAndPositions) {
  for (const char* name : {"yuan2-2.1b", "yuan2-51b", "yuan2-102b"}) {
    EXPECT_EQ(preset(name).attention_dropout, 0.1);
    EXPECT_EQ(preset(name).hidden_dropout, 0.0);
    EXPECT_FALSE(preset(name).untie_embeddings_and_output_weights);
  }
  EXPECT_EQ(preset("yuan2-2.1b").max_position_embeddings, 8192);
  EXPECT_EQ(preset("yuan2-102b").max_position_embeddings, 4096);
}

TEST(Presets, EachIsAModelUnderItsOwnName) {
  for (const std::string& name : preset_names()) {
    EXPECT_EQ(preset(name).preset, name);
    EXPECT_TRUE(preset(name).lfa);
    EXPECT_NO_THROW(validate_model(preset(name))) << name;
  }
}

TEST(Presets, UnknownNameListsThem) {
  const std::string message = test::refusal([] { preset("gpt-5"); });
  for (const std::string& name : preset_names()) test::expect_says(message, name);
}

}  // namespace
}  // namespace headwater
