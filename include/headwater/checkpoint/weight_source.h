#pragma once
// Weights by canonical name (model/parameter_spec.h), in a Hugging Face folder or a checkpoint.
//
// read() may be called by one thread at a time.

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
  // Fills the dense host tensor `out` (f32, f64 or bf16) with the elements of `slice`, in order. `out` must
  // have slice.count elements. Throws UserError if the source lacks them.
  virtual void read(const std::string& name, const Slice& slice, TensorView out) const = 0;
};

// Opens a checkpoint (recognised by manifest.json), a Hugging Face folder (by config.json), or the newest
// checkpoint of a `save` folder. Throws UserError, which says what was looked for, if `path` is none of
// these.
std::unique_ptr<WeightSource> open_weights(const Path& path);

}  // namespace headwater
