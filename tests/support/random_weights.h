#pragma once
// A model of random weights, every tensor of them, as a source like a checkpoint.

#include "headwater/base/random.h"
#include "headwater/checkpoint/weight_source.h"

#include "tests/support/models.h"

namespace headwater::test {

class RandomWeights final : public WeightSource {
 public:
  RandomWeights(const ModelOptions& options, std::int64_t positions)
      : model_(small_model(options, positions)) {}

  const std::string& description() const override { return description_; }
  const ModelConfig& model() const override { return model_; }
  bool has(const std::string&) const override { return true; }
  void read(const std::string& name, const Slice& slice, TensorView out) const override {
    HW_CHECK(slice == whole(slice.box.size), "{}: whole parameters only", to_string(slice));
    const RandomKey key = derive(RandomKey{11}, name);
    const double mean = name.ends_with("norm.weight") ? 1.0 : 0.0;
    for (std::int64_t i = 0; i < out.elements(); ++i)
      out.as<float>()[i] = static_cast<float>(mean + 0.25 * normal(key, static_cast<std::uint64_t>(i)));
  }

 private:
  std::string description_ = "random weights";
  ModelConfig model_;
};

}  // namespace headwater::test
