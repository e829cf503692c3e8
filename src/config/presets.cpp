#include "headwater/config/presets.h"

#include "headwater/base/error.h"

#include <fmt/ranges.h>

namespace headwater {
namespace {

struct Shape {
  const char* name;
  std::int64_t layers, hidden, heads, vocabulary, positions;
  double attention_dropout;
};

// The first three are as published (Yuan 2.0, 2023, and its training scripts). F is 4·H in all.
constexpr Shape kShapes[] = {
    {"yuan2-2.1b", 24, 2048, 32, 135040, 8192, 0.1},  // 2,088,724,480 parameters
    {"yuan2-51b", 42, 8192, 64, 135040, 4096, 0.1},   // 51,842,105,344
    {"yuan2-102b", 84, 8192, 64, 135040, 4096, 0.1},  // 102,577,954,816
    {"yuan2-small", 12, 768, 12, 50304, 0, 0.0},      // the size of GPT-2 small, with SwiGLU and LFA
    {"yuan2-mini", 6, 384, 6, 8192, 0, 0.0},          // for a laptop
    {"yuan2-tiny", 4, 128, 4, 512, 0, 0.0},           // for tests
};

}  // namespace

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) names.emplace_back(shape.name);
  return names;
}

ModelConfig preset(const std::string& name) {
  for (const Shape& shape : kShapes) {
    if (name != shape.name) continue;
    ModelConfig model;
    model.preset = name;
    model.family = "yuan2";
    model.num_layers = shape.layers;
    model.hidden_size = shape.hidden;
    model.num_attention_heads = shape.heads;
    model.vocab_size = shape.vocabulary;
    model.max_position_embeddings = shape.positions;
    model.attention_dropout = shape.attention_dropout;
    return model;
  }
  throw UserError("there is no preset \"{}\"; the presets are {}", name, fmt::join(preset_names(), ", "));
}

}  // namespace headwater
