#include "headwater/model/uniform_layer.h"

#include "headwater/base/error.h"

namespace headwater {

const LayerSpec& uniform_layer(const ModelSpec& model, std::string_view who) {
  const std::vector<LayerSpec>& layers = model.layers;
  for (std::size_t i = 1; i < layers.size(); ++i)
    HW_CHECK(layers[i] == layers.front(),
             "layer {} differs from layer 0, but {} takes all layers to be alike", i, who);
  return layers.at(0);
}

}  // namespace headwater
