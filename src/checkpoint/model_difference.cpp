#include "headwater/checkpoint/model_difference.h"

#include "headwater/config/field_value.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>

namespace headwater {
namespace {

// Keys that may differ between the model whose weights were saved and the model that reads them.
constexpr std::string_view kFreeOfWeights[] = {"make_vocab_size_divisible_by", "max_position_embeddings",
                                               "init_method_std", "attention_dropout", "hidden_dropout"};

}  // namespace

std::optional<std::string> model_difference(const ModelConfig& there, const ModelConfig& here, Compare what) {
  RunConfig a, b;
  a.model = there;
  b.model = here;
  for (const Field& field : find_section("model")->fields) {
    if (field.name == "preset") continue;
    if (what == Compare::weights && std::ranges::find(kFreeOfWeights, field.name) != std::end(kFreeOfWeights))
      continue;
    const nlohmann::json value = read_value(field, a), other = read_value(field, b);
    if (value != other)
      return fmt::format("{} is {} there and {} here", field.key(), value.dump(), other.dump());
  }
  return std::nullopt;
}

}  // namespace headwater
