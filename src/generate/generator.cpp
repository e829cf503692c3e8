#include "headwater/generate/generator.h"

#include "headwater/backend/make_backend.h"
#include "headwater/model/op_workspace.h"
#include "headwater/train/state_io.h"

#include <array>

namespace headwater {
namespace {

StageUnits all_units(const ModelSpec& model) { return {0, model.units(), true, true}; }

Shape words(std::int64_t bytes) { return {aligned(bytes) / 4}; }

}  // namespace

Generator::Generator(const WeightSource& weights, const RunSettings& settings, std::int64_t max_tokens,
                     const DocumentOptions& documents)
    : model_(expand(weights.model())),
      precision_(precision_of(settings.dtype)),
      documents_(documents),
      threads_(settings.threads),
      max_tokens_(max_tokens),
      backend_(make_backend({settings.device, settings.threads})),
      arena_(backend_->device()) {
  const ParameterLayout parameters(model_, {all_units(model_)}, {});
  arena_.reserve("weights",
                 aligned(parameters.elements() * static_cast<std::int64_t>(size_of(precision_.compute))));
  store_ = std::make_unique<ParameterStore>(parameters, arena_, precision_, false);

  RotaryTable rotary = rotary_table_of(model_, {1, max_tokens});
  rotary.positions = max_tokens;
  rotary_table_ = TensorView(nullptr, precision_.accumulate, rotary.shape());
  arena_.reserve("constants", aligned(static_cast<std::int64_t>(rotary_table_.bytes())));
  rotary_table_ = arena_.take("constants", precision_.accumulate, rotary_table_.shape);
  std::vector<std::byte> table(rotary_table_.bytes());
  const TensorView host(table.data(), precision_.accumulate, rotary_table_.shape);
  fill_rotary_table(host, rotary.base);
  backend_->to_device(host, rotary_table_);

  const auto shapes_of = [&](const LayerSpec& layer) {
    const Shape keys{max_tokens, layer.kv_heads, layer.head_dim}, wide{1, layer.hidden},
        narrow{1, layer.filter_channels()};
    return std::array<Shape, 6>{keys, keys, wide, narrow, narrow, wide};
  };
  std::int64_t bytes = 0;
  for (const LayerSpec& layer : model_.layers)
    for (const Shape& shape : shapes_of(layer))
      bytes += aligned(shape.elements() * static_cast<std::int64_t>(size_of(precision_.compute)));
  arena_.reserve("caches", bytes);
  for (const LayerSpec& layer : model_.layers) {
    std::array<TensorView, 6> views;
    const std::array<Shape, 6> shapes = shapes_of(layer);
    for (std::size_t i = 0; i < views.size(); ++i)
      views[i] = arena_.take("caches", precision_.compute, shapes[i]);
    caches_.push_back({views[0], views[1], views[2], views[3], views[4], views[5]});
  }
  load_weights(*store_, *backend_, weights);
}

Generator::Width::Width(Generator& owner, std::int64_t tokens) : arena(owner.backend_->device()) {
  const ModelSpec& model = owner.model_;
  const BatchShape batch{1, tokens};
  const StageUnits units = all_units(model);
  MemoryRequest request;
  request.chunks = {{units, {}, 0}};
  request.batch = batch;
  request.precision = owner.precision_;
  request.training = false;
  request.device = owner.backend_->device().kind;
  request.op_workspace =
      workspace_bytes(request.device, model, {1, owner.max_tokens_}, owner.precision_, owner.threads_);
  const ParameterLayout none(model, {}, {});
  for (const SegmentSize& segment : arena_layout(model, none, request))
    if (segment.name == "activations" || segment.name == "workspace")
      arena.reserve(segment.name, segment.bytes);

  workspace = arena.take("workspace", DType::i32, words(request.op_workspace));
  StageMemory memory;
  memory.rotary_table = owner.rotary_table_;
  memory.scratch = arena.take("workspace", DType::i32, words(scratch_bytes(model, request)));
  const StageOptions options{{}, batch, owner.precision_, {}, false, request.device};
  stage = std::make_unique<Stage>(model, units, options, *owner.store_, arena, *owner.backend_, memory);
}

// Copies the last `count` tokens of the history to `to`, with the document borders of the whole history.
void Generator::place_tokens(MicroBatch& to, std::int64_t count) {
  const auto length = static_cast<std::int64_t>(history_.size());
  const Batch all = make_batch(history_, {}, 1, length, documents_);
  const auto copy = [&](const std::vector<std::int32_t>& host, TensorView device) {
    backend_->to_device(
        TensorView(const_cast<std::int32_t*>(host.data()) + (length - count), DType::i32, {count}), device);
  };
  copy(all.tokens, to.tokens);
  copy(all.position, to.position);
  copy(all.attention_start, to.attention_start);
  copy(all.lfa_start, to.lfa_start);
  to.first = length - count;
}

std::vector<float> Generator::feed(std::span<const std::int32_t> tokens) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  HW_CHECK(count > 0 && static_cast<std::int64_t>(history_.size()) + count <= max_tokens_,
           "{} tokens after {} of {}", count, history_.size(), max_tokens_);
  for (const std::int32_t token : tokens)
    if (token < 0 || token >= model_.vocabulary)
      throw UserError("token {} is outside the model's vocabulary of {}", token, model_.vocabulary);
  history_.insert(history_.end(), tokens.begin(), tokens.end());

  std::unique_ptr<Width> several;
  if (count > 1)
    several = std::make_unique<Width>(*this, count);
  else if (!single_)
    single_ = std::make_unique<Width>(*this, 1);
  Width& width = several ? *several : *single_;
  backend_->use_workspace(width.workspace);
  place_tokens(width.stage->micro_batch(0), count);
  width.stage->forward({}, {}, {}, HeadMode::none, &caches_);

  std::vector<float> logits(static_cast<std::size_t>(model_.vocabulary));
  width.stage->logits({}, count - 1, [&](std::int64_t, std::int64_t, TensorView block) {
    download(*backend_, block, TensorView(logits.data(), DType::f32, block.shape));
  });
  return logits;
}

}  // namespace headwater
