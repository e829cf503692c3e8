#pragma once
// The kinds of a block among which a model chooses by a word of its config. The field table (field_table.h)
// offers the words of a list here, expand() (model/model_spec.h) takes the kind that a word stands for, and
// make_blocks.h makes the block of that kind.

#include "headwater/base/error.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {

template <class Kind>
struct KindWord {
  std::string_view word;
  Kind kind;
};

enum class NormKind : std::uint8_t { rms, layer };
inline constexpr KindWord<NormKind> kNormWords[] = {{"rmsnorm", NormKind::rms},
                                                    {"layernorm", NormKind::layer}};

// Kinds of MLP, by the activation between its products.
enum class MlpKind : std::uint8_t { swiglu, gelu, gelu_tanh, relu };
inline constexpr KindWord<MlpKind> kMlpWords[] = {{"swiglu", MlpKind::swiglu},
                                                  {"gelu", MlpKind::gelu},
                                                  {"gelu_tanh", MlpKind::gelu_tanh},
                                                  {"relu", MlpKind::relu}};

template <class Words>
std::vector<std::string> words_of(const Words& list) {
  std::vector<std::string> words;
  for (const auto& entry : list) words.emplace_back(entry.word);
  return words;
}

// `word` is one of the list, as a validated config has it.
template <class Words>
auto kind_of(const Words& list, std::string_view word) {
  for (const auto& entry : list)
    if (entry.word == word) return entry.kind;
  throw InternalError("no kind of block is called \"{}\"", word);
}

}  // namespace headwater
