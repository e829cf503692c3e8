#pragma once
// Weights by canonical name (model/parameter_spec.h), wherever they lie: a Hugging Face folder or a
// checkpoint of ours. One owner; read() may be called by one thread at a time.

#include "headwater/base/file.h"
#include "headwater/config/run_config.h"
#include "headwater/tensor/slice.h"
#include "headwater/tensor/tensor_view.h"

#include <memory>
#include <string>

namespace headwater {

class WeightSource {
 public:
  virtual ~WeightSource() = default;

  virtual const std::string& description() const = 0;  // "checkpoint runs/a/step-00001000"
  virtual const ModelConfig& model() const = 0;        // resolved
  virtual bool has(const std::string& name) const = 0;
  // Fills the dense host tensor `out` (f32, f64 or bf16), row by row, with the elements of `slice`, whose
  // count is its own. UserError where the source lacks them.
  virtual void read(const std::string& name, const Slice& slice, TensorView out) const = 0;
};

// Recognises a Hugging Face folder (config.json), a checkpoint (manifest.json) and a `save` folder (its
// latest) by what they hold; UserError otherwise, saying what was looked for.
std::unique_ptr<WeightSource> open_weights(const Path& path);

}  // namespace headwater
