#pragma once
// Whether a checkpoint is of the model that was asked for.

#include "headwater/config/run_config.h"

#include <optional>
#include <string>

namespace headwater {

// `all`: a resume, where nothing of the model may change. `weights`: only what the weights must fit (sizes,
// family, LFA, tying, norms and positions), not dropout, initialisation or padding.
enum class Compare { all, weights };

// The first key that differs, with both values ("model.hidden_size is 128 there and 256 here"); none where
// none does. Both resolved. The preset's name does not count.
std::optional<std::string> model_difference(const ModelConfig& there, const ModelConfig& here, Compare what);

}  // namespace headwater
