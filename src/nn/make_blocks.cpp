#include "headwater/nn/make_blocks.h"

#include "headwater/base/error.h"

#include "lfa.h"

namespace headwater {

Norm make_norm(UnitDescription& description, NormKind kind, const NormOptions& options) {
  switch (kind) {
    case NormKind::rms: return Norm(description, options);
    case NormKind::layer: {
      NormOptions centred = options;
      centred.mean_and_bias = true;
      return Norm(description, centred);
    }
  }
  throw InternalError("no norm of kind {}", static_cast<int>(kind));
}

std::unique_ptr<Filter> make_filter(UnitDescription& description, const LayerSpec& layer,
                                    const std::string& prefix, TensorId input) {
  switch (layer.filter) {
    case FilterKind::none: return nullptr;
    case FilterKind::lfa:
      return std::make_unique<Lfa>(description, Lfa::Options{prefix, layer.hidden, input},
                                   [&layer](UnitDescription& d, NormOptions options) {
                                     options.epsilon = layer.norm_epsilon;
                                     return make_norm(d, layer.norm, options);
                                   });
  }
  throw InternalError("no filter of kind {}", static_cast<int>(layer.filter));
}

std::unique_ptr<Activation> make_activation(MlpKind kind) {
  switch (kind) {
    case MlpKind::swiglu: return std::make_unique<SwigluActivation>();
    case MlpKind::gelu: return std::make_unique<PlainActivation>(op::ActivationFunction::gelu);
    case MlpKind::gelu_tanh: return std::make_unique<PlainActivation>(op::ActivationFunction::gelu_tanh);
    case MlpKind::relu: return std::make_unique<PlainActivation>(op::ActivationFunction::relu);
  }
  throw InternalError("no MLP of kind {}", static_cast<int>(kind));
}

}  // namespace headwater
