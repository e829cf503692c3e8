#pragma once
// A Hugging Face model folder: config.json, and model.safetensors or the shards that
// model.safetensors.index.json lists.
//
// Folders of `model_type` "yuan" (Yuan 2.0's dense models) can be read; others are refused, with the name of
// their type.

#include "headwater/checkpoint/hf_tensors.h"
#include "headwater/checkpoint/safetensors.h"
#include "headwater/checkpoint/weight_source.h"

#include <map>

namespace headwater {

// Returns the resolved model that a config.json describes. Dropout, which belongs to training, stays 0.
// Throws UserError.
ModelConfig read_hf_config(const Path& config_json);

class HfFolder final : public WeightSource {
 public:
  // Checks that the folder has every tensor of the model in its shape, and no tensor that the model does not
  // have. Throws UserError.
  explicit HfFolder(const Path& folder);

  const std::string& description() const override { return description_; }
  const ModelConfig& model() const override { return model_; }
  bool has(const std::string& name) const override { return canonical_.contains(name); }
  void read(const std::string& name, const Slice& slice, TensorView out) const override;

 private:
  struct Stored {
    const SafetensorsReader* file;
    const StoredTensor* tensor;
  };
  // A canonical tensor: its shape, and the indices in tensors_ of the tensors that hold pieces of it.
  struct Canonical {
    Shape shape;
    std::vector<std::size_t> holders;
  };
  void open_files(const Path& folder);
  void check_tensors() const;
  const Stored& stored(const HfTensor& tensor) const;

  std::string description_;
  ModelConfig model_;
  std::vector<std::unique_ptr<SafetensorsReader>> files_;
  std::map<std::string, Stored> stored_;
  std::vector<HfTensor> tensors_;
  std::map<std::string, Canonical> canonical_;
};

}  // namespace headwater
