#include "headwater/model/parameter_spec.h"

#include <cmath>
#include <utility>

namespace headwater {
namespace {

// Yuan 2.0's initialisation (reference implementation): linears and embedding N(0, std); projections into the
// residual stream N(0, std / √(2L)); gains 1; the LFA convolutions keep PyTorch's Conv2d default,
// U(±1/√fan_in) with fan_in the input channels times two taps, biases included.
class Builder {
 public:
  Builder(const ModelSpec& model, const Sharding& sharding) : model_(model), sharding_(sharding) {}

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
    spec.replicated_on = kTensorAxes | AxisSet{Axis::context, Axis::data};
    spec.init = init;
    spec.decays = shape.rank() >= 2;
    specs_.push_back(std::move(spec));
  }
  void matrix(std::string name, int unit, Shape shape, double std) {
    add(std::move(name), unit, shape, {Init::Kind::normal, std});
  }
  // Norms see a token shard where tokens are cut.
  void gain(std::string name, int unit, std::int64_t size) {
    add(std::move(name), unit, {size}, {Init::Kind::ones, 0});
    if (sharding_.sequence_parallel) sum_over_tensor_ranks();
  }
  // The last one added is whole on every rank, and each sees a part of the tokens.
  void sum_over_tensor_ranks() {
    if (sharding_.tensor > 1) last().reduced_over = last().reduced_over | kTensorAxes;
  }
  // The last one added is cut over the ranks that share the layer.
  void split(int dimension, std::int64_t split_unit) {
    last().split = {dimension, split_unit};
    last().replicated_on = {Axis::context, Axis::data};
  }
  void split_kv_heads(std::int64_t head_dim) {
    split(0, head_dim);
    if (kv_repeat(model_, sharding_) == 1) return;
    last().reduced_over = last().reduced_over | AxisSet{Axis::repeat};
    last().replicated_on = last().replicated_on | AxisSet{Axis::repeat};
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
    split_kv_heads(spec.head_dim);
    last().joined = true;
    matrix(prefix + "attention.v.weight", unit, {spec.key_width(), hidden}, std);
    split_kv_heads(spec.head_dim);
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

  // [tap, out, in] and a bias. Among tensor ranks the first is cut by its outputs, the second by its inputs;
  // or neither is, where the filter is cut by tokens.
  void convolution(const std::string& name, int unit, std::int64_t out, std::int64_t in, bool by_outputs) {
    const Init init{Init::Kind::uniform, 1.0 / std::sqrt(2.0 * static_cast<double>(in))};
    const bool by_tokens = sharding_.filter_by_tokens();
    add(name + ".weight", unit, {2, out, in}, init);
    if (by_tokens)
      sum_over_tensor_ranks();
    else
      split(by_outputs ? 1 : 2, 1);
    add(name + ".bias", unit, {out}, init);
    if (by_tokens)
      sum_over_tensor_ranks();
    else if (by_outputs)
      split(0, 1);
  }

  const ModelSpec& model_;
  const Sharding& sharding_;
  std::vector<ParameterSpec> specs_;
};

}  // namespace

std::vector<ParameterSpec> parameters(const ModelSpec& model, const Sharding& sharding) {
  return Builder(model, sharding).build();
}

std::vector<ParameterSpec> parameters_of(const ModelSpec& model, int first_unit, int last_unit,
                                         const Sharding& sharding) {
  const bool has_head = first_unit <= model.head_unit() && model.head_unit() < last_unit;
  std::vector<ParameterSpec> held;
  for (ParameterSpec& spec : parameters(model, sharding))
    if ((first_unit <= spec.unit && spec.unit < last_unit) || (spec.tied_to_head && has_head))
      held.push_back(std::move(spec));
  return held;
}

std::int64_t parameter_count(const ModelSpec& model) {
  std::int64_t count = 0;
  for (const ParameterSpec& spec : parameters(model)) count += spec.elements();
  return count;
}

std::int64_t kv_repeat(const ModelSpec& model, const Sharding& sharding) {
  const std::int64_t kv_heads = model.layers.front().kv_heads;
  return sharding.tensor > kv_heads ? sharding.tensor / kv_heads : 1;
}

}  // namespace headwater
