#include "headwater/model/parameter_spec.h"

#include <cmath>
#include <utility>

namespace headwater {
namespace {

// Yuan 2.0's initialisation (reference implementation): linears and embedding N(0, std); projections into the residual
// stream N(0, std / √(2L)); gains 1; the LFA convolutions keep PyTorch's Conv2d default, U(±1/√fan_in) with fan_in the
// input channels times two taps, biases included.
class Builder {
 public:
  explicit Builder(const ModelSpec& model) : model_(model) {}

  std::vector<ParameterSpec> build() {
    matrix("embedding.weight", model_.embedding_unit(), {model_.vocabulary, model_.hidden}, model_.init_std);
    last().tied_to_head = model_.tied;
    split_vocabulary();
    for (std::size_t i = 0; i < model_.layers.size(); ++i) layer(static_cast<int>(i) + 1, model_.layers[i]);
    gain("final_norm.weight", model_.head_unit(), model_.hidden);
    if (!model_.tied) {
      matrix("head.weight", model_.head_unit(), {model_.vocabulary, model_.hidden}, model_.init_std);
      split_vocabulary();
    }
    return std::move(specs_);
  }

 private:
  ParameterSpec& last() { return specs_.back(); }

  void add(std::string name, int unit, Shape shape, Init init) {
    ParameterSpec spec;
    spec.name = std::move(name);
    spec.shape = shape;
    spec.unit = unit;
    spec.reduced_over = {Axis::context, Axis::data};
    spec.replicated_on = {Axis::tensor, Axis::context, Axis::data};
    spec.init = init;
    spec.decays = shape.rank() >= 2;
    specs_.push_back(std::move(spec));
  }
  void matrix(std::string name, int unit, Shape shape, double std) {
    add(std::move(name), unit, shape, {Init::Kind::normal, std});
  }
  void gain(std::string name, int unit, std::int64_t size) { add(std::move(name), unit, {size}, {Init::Kind::ones, 0}); }
  // The last one added is cut over the tensor axis.
  void split(int dimension, std::int64_t split_unit) {
    last().split = {dimension, split_unit};
    last().replicated_on = {Axis::context, Axis::data};
  }
  void split_vocabulary() {
    split(0, 1);
    last().split.pad_multiple = model_.vocabulary_multiple;
  }

  void layer(int unit, const LayerSpec& spec) {
    const std::string prefix = "layers." + std::to_string(unit - 1) + ".";
    const double std = model_.init_std;
    const double residual_std = std / std::sqrt(2.0 * static_cast<double>(model_.layers.size()));
    const std::int64_t hidden = spec.hidden;

    gain(prefix + "attention_norm.weight", unit, hidden);
    if (spec.filter == FilterKind::lfa) {
      const std::int64_t channels = spec.filter_channels();
      convolution(prefix + "lfa.conv1", unit, channels, hidden, true);
      convolution(prefix + "lfa.conv2", unit, hidden, channels, false);
      gain(prefix + "lfa.norm.weight", unit, hidden);
    }
    matrix(prefix + "attention.q.weight", unit, {spec.query_width(), hidden}, std);
    split(0, spec.head_dim);
    matrix(prefix + "attention.k.weight", unit, {spec.key_width(), hidden}, std);
    split(0, spec.head_dim);
    last().joined = true;
    matrix(prefix + "attention.v.weight", unit, {spec.key_width(), hidden}, std);
    split(0, spec.head_dim);
    last().joined = true;
    matrix(prefix + "attention.o.weight", unit, {hidden, spec.query_width()}, residual_std);
    split(1, spec.head_dim);

    gain(prefix + "mlp_norm.weight", unit, hidden);
    matrix(prefix + "mlp.gate.weight", unit, {spec.ffn, hidden}, std);
    split(0, 1);
    matrix(prefix + "mlp.up.weight", unit, {spec.ffn, hidden}, std);
    split(0, 1);
    last().joined = true;
    matrix(prefix + "mlp.down.weight", unit, {hidden, spec.ffn}, residual_std);
    split(1, 1);
  }

  // [tap, out, in] and a bias. Under tensor parallelism the first is cut by its outputs, the second by its inputs.
  void convolution(const std::string& name, int unit, std::int64_t out, std::int64_t in, bool by_outputs) {
    const Init init{Init::Kind::uniform, 1.0 / std::sqrt(2.0 * static_cast<double>(in))};
    add(name + ".weight", unit, {2, out, in}, init);
    split(by_outputs ? 1 : 2, 1);
    add(name + ".bias", unit, {out}, init);
    if (by_outputs) split(0, 1);
  }

  const ModelSpec& model_;
  std::vector<ParameterSpec> specs_;
};

}  // namespace

std::vector<ParameterSpec> parameters(const ModelSpec& model) { return Builder(model).build(); }

std::vector<ParameterSpec> parameters_of(const ModelSpec& model, int first_unit, int last_unit) {
  const bool has_head = first_unit <= model.head_unit() && model.head_unit() < last_unit;
  std::vector<ParameterSpec> held;
  for (ParameterSpec& spec : parameters(model))
    if ((first_unit <= spec.unit && spec.unit < last_unit) || (spec.tied_to_head && has_head))
      held.push_back(std::move(spec));
  return held;
}

std::int64_t parameter_count(const ModelSpec& model) {
  std::int64_t count = 0;
  for (const ParameterSpec& spec : parameters(model)) count += spec.elements();
  return count;
}

}  // namespace headwater
