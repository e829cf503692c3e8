#include "headwater/nn/stage.h"

#include <cmath>

namespace headwater {

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
    embedding_ = store.weight("embedding.weight");
    d_embedding_ = store.gradient("embedding.weight");
  }
  for (int i = 0; i < units.layers(); ++i) {
    const int unit = units.first_layer() + i;
    layers_.emplace_back(model.layers[static_cast<std::size_t>(unit) - 1], unit, store, memory.rotary_table,
                         options.sharding);
  }
  if (units.has_head) head_.emplace(model, store, ranks_);
}

const Stage::Tensors& Stage::tensors(UnitPass pass, const SlotNumbers& numbers) {
  const auto [found, is_new] = tensors_.try_emplace({pass, numbers});
  Tensors& tensors = found->second;
  if (!is_new) return tensors;
  if (units_.has_embedding) {
    const NamedTensors embedding = slots_.tensors(units_.first, pass, numbers);
    tensors.embedded = embedding.find("out");
    tensors.d_embedded = embedding.find("d_out.all");
  }
  for (int i = 0; i < units_.layers(); ++i)
    tensors.layers.emplace_back(slots_.tensors(units_.first_layer() + i, pass, numbers));
  if (units_.has_head) tensors.head.emplace(slots_.tensors(units_.last - 1, pass, numbers));
  return tensors;
}

void Stage::forward(const SlotNumbers& numbers, TensorView input, TensorView out, HeadMode mode,
                    std::vector<LayerCache>* caches) {
  const Tensors& t = tensors(UnitPass::forward, numbers);
  BlockContext context = this->context(numbers.slot, mode == HeadMode::train);
  // Where the residual stream goes before layer i: that layer's input, at the end the head's or the caller's.
  const auto stream = [&](std::size_t i) {
    if (i < layers_.size()) return t.layers[i].input;
    return head_ ? t.head->input : out;
  };
  if (units_.has_embedding) {
    store_.wait_for_weights(backend_, units_.first);
    const TensorView embedded = t.embedded ? t.embedded : stream(0);
    backend_.embedding(context.batch.tokens, embedding_, ranks_.rank() * embedding_.rows(), embedded);
    context.sum(embedded, stream(0));
  } else {
    backend_.copy(input, stream(0));
  }
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    store_.wait_for_weights(backend_, units_.first_layer() + static_cast<int>(i));
    if (caches != nullptr) context.cache = &(*caches)[i];
    layers_[i].forward(context, t.layers[i], stream(i + 1));
  }
  if (!head_) return;
  store_.wait_for_weights(backend_, units_.last - 1);
  if (mode == HeadMode::train) head_->forward(context, *t.head, memory_.scalars);
  if (mode == HeadMode::evaluate) head_->evaluate(context, *t.head, memory_.scalars);
}

void Stage::backward(const SlotNumbers& numbers, TensorView d_out, TensorView d_input,
                     const UnitHook& complete) {
  const auto report = [&](int unit) {
    if (complete) complete(unit);
  };
  const bool apart = numbers.delayed_slot >= 0;
  DeferredProducts& products = apart ? delayed_[static_cast<std::size_t>(numbers.delayed_slot)] : products_;
  if (apart) products.clear();  // a weight gradient that was replayed (Backend::repeat) has left them
  const Tensors& t = tensors(apart ? UnitPass::input_gradient : UnitPass::backward, numbers);
  const BlockContext context = this->context(numbers.slot, true, &products);
  // Where the gradient of the residual stream after layer i goes: a layer that needs it later has a tensor
  // for it.
  const auto stream = [&](std::size_t i) {
    return i < t.layers.size() && t.layers[i].d_out ? t.layers[i].d_out : memory_.stream_gradient[i % 2];
  };

  const std::size_t top = layers_.size() - 1;  // of no layers: that of the stage's input
  TensorView gradient = d_out;
  if (head_) {
    gradient = stream(top);
    head_->backward(context, *t.head, gradient);
    report(units_.last - 1);
  } else if (top < layers_.size() && t.layers[top].d_out) {
    gradient = stream(top);
    backend_.copy(d_out, gradient);
  }
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const TensorView below = i == 0 && d_input ? d_input : stream(i - 1);
    const Recompute how = units_.recompute_of(units_.first_layer() + static_cast<int>(i));
    if (how != Recompute::none) layers_[i].recompute(context, t.layers[i], how);
    layers_[i].backward(context, t.layers[i], gradient, below);
    if (!apart) {
      products.drain(backend_);
      report(units_.first_layer() + static_cast<int>(i));
    }
    gradient = below;
  }
  if (units_.has_embedding) {
    backend_.embedding_backward(context.batch.tokens, context.gather(gradient, t.d_embedded),
                                ranks_.rank() * embedding_.rows(), d_embedding_);
    report(units_.first);
  } else if (gradient.data != d_input.data) {
    backend_.copy(gradient, d_input);  // a stage without layers
  }
}

void Stage::weight_gradient(int delayed_slot, const UnitHook& complete) {
  delayed_[static_cast<std::size_t>(delayed_slot)].drain(backend_);
  for (int i = units_.layers(); complete && i-- > 0;) complete(units_.first_layer() + i);
}

void Stage::logits(const SlotNumbers& numbers, std::int64_t first, const LogitSink& sink) {
  HW_CHECK(head_, "logits of a stage without a head");
  head_->logits(context(numbers.slot, false), *tensors(UnitPass::forward, numbers).head, first, sink);
}

void fill_rotary_table(TensorView host, double base) {
  const std::int64_t pairs = host.shape[1];
  for (std::int64_t p = 0; p < host.rows(); ++p)
    for (std::int64_t i = 0; i < pairs; ++i) {
      const double angle =
          static_cast<double>(p) * std::pow(base, -static_cast<double>(i) / static_cast<double>(pairs));
      const double turn[2] = {std::cos(angle), std::sin(angle)};
      for (std::int64_t k = 0; k < 2; ++k) {
        const std::int64_t at = (p * pairs + i) * 2 + k;
        if (host.dtype == DType::f64)
          host.as<double>()[at] = turn[k];
        else
          host.as<float>()[at] = static_cast<float>(turn[k]);
      }
    }
}

}  // namespace headwater
