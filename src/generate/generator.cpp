#include "headwater/generate/generator.h"

#include "headwater/backend/make_backend.h"
#include "headwater/nn/model_units.h"
#include "headwater/nn/unit_record.h"
#include "headwater/train/state_io.h"

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

  const MemoryRequest request = memory_request(max_tokens);
  const std::vector<ConstantSpec> constants = unit_constants(model_, request);
  std::int64_t bytes = 0;
  for (const ConstantSpec& spec : constants)
    bytes += aligned(spec.shape.elements() * static_cast<std::int64_t>(size_of(spec.dtype)));
  arena_.reserve("constants", bytes);

  std::vector<std::vector<CacheSpec>> caches;  // by layer
  bytes = 0;
  for (std::size_t i = 0; i < model_.layers.size(); ++i) {
    caches.push_back(describe(request.site(model_, static_cast<int>(i) + 1)).caches());
    for (const CacheSpec& spec : caches.back())
      bytes += aligned(spec.shape.elements() * static_cast<std::int64_t>(size_of(precision_.compute)));
  }
  arena_.reserve("caches", bytes);
  constants_ = take_constants(constants, arena_, *backend_);
  for (const std::vector<CacheSpec>& layer : caches) {
    std::vector<TensorView>& views = caches_.emplace_back();
    for (const CacheSpec& spec : layer)
      views.push_back(arena_.take("caches", precision_.compute, spec.shape));
  }
  load_weights(*store_, *backend_, weights);
}

// A forward of `tokens` tokens.
MemoryRequest Generator::memory_request(std::int64_t tokens) const {
  MemoryRequest request;
  request.chunks = {{all_units(model_), {}, 0}};
  request.batch = {1, tokens};
  request.precision = precision_;
  request.training = false;
  request.device = backend_->device().kind;
  request.cached_tokens = max_tokens_;
  request.op_workspace = op_workspace_bytes(request.site(model_, 0), request.training, threads_);
  return request;
}

Generator::Width::Width(Generator& owner, std::int64_t tokens) : arena(owner.backend_->device()) {
  const ModelSpec& model = owner.model_;
  const StageUnits units = all_units(model);
  const MemoryRequest request = owner.memory_request(tokens);
  const ParameterLayout none(model, {}, {});
  for (const SegmentSize& segment : arena_layout(model, none, request))
    if (segment.name == "activations" || segment.name == "workspace")
      arena.reserve(segment.name, segment.bytes);

  workspace = arena.take("workspace", DType::i32, words(request.op_workspace));
  StageMemory memory;
  memory.constants = owner.constants_;
  memory.scratch = arena.take("workspace", DType::i32, words(scratch_bytes(model, request)));
  const StageOptions options{{},    request.batch,  owner.precision_, {},
                             false, request.device, owner.max_tokens_};
  stage = std::make_unique<Stage>(model, units, options, *owner.store_, arena, *owner.backend_, memory);
}

// Copies the last `count` tokens of the history to `to`, with the document borders of the whole history.
void Generator::place_tokens(MicroBatch& to, std::int64_t count) {
  const auto length = static_cast<std::int64_t>(history_.size());
  const Batch all = make_batch(history_, {}, 1, length, documents_);
  const auto copy = [&](const std::vector<std::int32_t>& host, TensorView device) {
    if (!device) return;
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
  width.stage->logits({}, {}, count - 1, [&](std::int64_t, std::int64_t, TensorView block) {
    download(*backend_, block, TensorView(logits.data(), DType::f32, block.shape));
  });
  return logits;
}

}  // namespace headwater
