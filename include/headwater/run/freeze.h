#pragma once
// Which parameters a run does not train (training.freeze).

#include "headwater/model/model_spec.h"

#include <string>
#include <vector>

namespace headwater {

// Marks the parameters whose names match one of the patterns (base/glob.h) as not trained. UserError where a
// pattern matches no name, where nothing would be left to train, and where one part of a matrix would be
// trained and another not.
void freeze(ModelSpec& model, const std::vector<std::string>& patterns);

// Returns the model of a config (expand(), model/model_spec.h), of which what matches is not trained. Throws
// as freeze() does.
ModelSpec model_to_train(const ModelConfig& model, const std::vector<std::string>& patterns);

}  // namespace headwater
