#pragma once
// Compares the model of a checkpoint with the model that was asked for.

#include "headwater/config/run_config.h"

#include <optional>
#include <string>

namespace headwater {

enum class Compare {
  all,      // every key, for a resume
  weights,  // the keys that weights must fit (sizes, family, LFA, tying, norms, positions), for other uses of
            // them
};

// Returns the first key that differs, with both values ("model.hidden_size is 128 there and 256 here"), or
// nothing. Both models must be resolved. The preset's name is not compared.
std::optional<std::string> model_difference(const ModelConfig& there, const ModelConfig& here, Compare what);

}  // namespace headwater
