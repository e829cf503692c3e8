#include "headwater/stage/stage.h"

namespace headwater {

std::map<std::string, TensorView> take_constants(const std::vector<ConstantSpec>& specs, Arena& arena,
                                                 Backend& backend) {
  std::map<std::string, TensorView> constants;
  for (const ConstantSpec& spec : specs) {
    const TensorView view = arena.take("constants", spec.dtype, spec.shape);
    std::vector<std::byte> memory(view.bytes());
    const TensorView host(memory.data(), spec.dtype, spec.shape);
    spec.fill(host);
    backend.to_device(host, view);
    constants.emplace(spec.name, view);
  }
  return constants;
}

Stage::Stage(const ModelSpec& model, const StageUnits& units, const StageOptions& options,
             ParameterStore& store, Arena& arena, Backend& backend, const StageMemory& memory,
             const TensorRanks& ranks)
    : units_(units),
      store_(store),
      backend_(backend),
      memory_(memory),
      ranks_(ranks),
      slots_(model, units, options, arena, memory.scratch),
      delayed_(static_cast<std::size_t>(options.slots.delayed_slots)) {
  if (units.has_embedding) {
    embedding_.emplace(options.site(model, units, units.first));
    unit_memory_.push_back(memory_of(embedding_->description()));
  }
  for (int i = 0; i < units.layers(); ++i) {
    const Layer& layer = layers_.emplace_back(options.site(model, units, units.first_layer() + i));
    unit_memory_.push_back(memory_of(layer.description()));
  }
  if (units.has_head) {
    head_.emplace(options.site(model, units, units.last - 1));
    unit_memory_.push_back(memory_of(head_->description()));
  }
}

UnitMemory Stage::memory_of(const UnitDescription& description) const {
  UnitMemory memory;
  for (const ParameterSpec& spec : description.parameters()) {
    memory.weights.push_back(store_.weight(spec.name));
    memory.gradients.push_back(store_.gradient(spec.name));
  }
  for (const ProductSpec& product : description.products())
    memory.products.push_back(store_.linear(product.first, product.last));
  for (const ConstantSpec& spec : description.constants())
    memory.constants.push_back(memory_.constants.at(spec.name));
  return memory;
}

const Stage::Tensors& Stage::tensors(UnitPass pass, const SlotNumbers& numbers) {
  const auto [found, is_new] = tensors_.try_emplace({pass, numbers});
  if (is_new)
    for (int unit = units_.first; unit < units_.last; ++unit)
      found->second.push_back(slots_.tensors(unit, pass, numbers));
  return found->second;
}

BlockContext Stage::context(int unit, int slot, const Tensors& tensors, bool training,
                            DeferredProducts* products) {
  const auto index = static_cast<std::size_t>(unit - units_.first);
  return {backend_, slots_.micro_batch(slot), ranks_, unit_memory_[index], tensors[index], training,
          products};
}

TensorView Stage::stream_before(std::size_t layer, int slot, const Tensors& tensors, TensorView input) {
  if (layer == 0 && !embedding_) return input;
  if (layer < layers_.size()) return layer_context(layer, slot, tensors, false)[layers_[layer].input()];
  return context(units_.last - 1, slot, tensors, false)[head_->input()];
}

void Stage::forward(const SlotNumbers& numbers, TensorView input, TensorView out, HeadMode mode,
                    const LayerCaches* caches) {
  const Tensors& t = tensors(UnitPass::forward, numbers);
  const bool training = mode == HeadMode::train;
  const int head = units_.last - 1;
  // The residual stream before layer i; after the last layer the stage's output, where it has no head.
  const auto stream = [&](std::size_t i) {
    return i == layers_.size() && !head_ ? out : stream_before(i, numbers.slot, t, input);
  };
  if (embedding_) {
    store_.wait_for_weights(backend_, units_.first);
    embedding_->forward(context(units_.first, numbers.slot, t, training), stream(0));
  }
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    store_.wait_for_weights(backend_, units_.first_layer() + static_cast<int>(i));
    BlockContext context = layer_context(i, numbers.slot, t, training);
    if (caches != nullptr) context.caches = &(*caches)[i];
    layers_[i].forward(context, stream(i), stream(i + 1));
  }
  if (!head_) return;
  store_.wait_for_weights(backend_, head);
  const BlockContext context = this->context(head, numbers.slot, t, training);
  if (mode == HeadMode::train) head_->forward(context, stream(layers_.size()), memory_.scalars);
  if (mode == HeadMode::evaluate) head_->evaluate(context, stream(layers_.size()), memory_.scalars);
}

void Stage::backward(const SlotNumbers& numbers, TensorView input, TensorView d_out, TensorView d_input,
                     const UnitHook& complete) {
  const auto report = [&](int unit) {
    if (complete) complete(unit);
  };
  const bool apart = numbers.delayed_slot >= 0;
  DeferredProducts& products = apart ? delayed_[static_cast<std::size_t>(numbers.delayed_slot)] : products_;
  if (apart) products.clear();  // a weight gradient that was replayed (Backend::repeat) has left them
  const Tensors& t = tensors(apart ? UnitPass::input_gradient : UnitPass::backward, numbers);
  const auto context_of = [&](int unit) { return context(unit, numbers.slot, t, true, &products); };
  const auto stream = [&](std::size_t i) { return stream_before(i, numbers.slot, t, input); };
  // Where the gradient of the residual stream before layer i goes: to the caller's tensor before the first,
  // elsewhere to the layer in front of it, if that needs the gradient of its output later.
  const auto gradient_before = [&](std::size_t i) {
    if (i == 0 && !embedding_) return d_input;
    const TensorView kept =
        i == 0 ? TensorView() : layer_context(i - 1, numbers.slot, t, true)[layers_[i - 1].d_out()];
    return kept ? kept : memory_.stream_gradient[i % 2];
  };

  TensorView gradient = d_out;
  if (head_) {
    gradient = gradient_before(layers_.size());
    head_->backward(context_of(units_.last - 1), stream(layers_.size()), gradient);
    report(units_.last - 1);
  }
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const int unit = units_.first_layer() + static_cast<int>(i);
    const TensorView before = gradient_before(i);
    const Recompute how = units_.recompute_of(unit);
    if (how != Recompute::none) layers_[i].recompute(context_of(unit), stream(i), how);
    layers_[i].backward(context_of(unit), stream(i), gradient, before);
    if (!apart) {
      products.drain(backend_);
      report(unit);
    }
    gradient = before;
  }
  if (!embedding_) return;
  embedding_->backward(context_of(units_.first), gradient);
  report(units_.first);
}

void Stage::weight_gradient(int delayed_slot, const UnitHook& complete) {
  delayed_[static_cast<std::size_t>(delayed_slot)].drain(backend_);
  for (int i = units_.layers(); complete && i-- > 0;) complete(units_.first_layer() + i);
}

void Stage::logits(const SlotNumbers& numbers, TensorView input, std::int64_t first, const LogitSink& sink) {
  HW_CHECK(head_, "logits of a stage without a head");
  const Tensors& t = tensors(UnitPass::forward, numbers);
  head_->logits(context(units_.last - 1, numbers.slot, t, false),
                stream_before(layers_.size(), numbers.slot, t, input), first, sink);
}

}  // namespace headwater
