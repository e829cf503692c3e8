#include "headwater/generate/probe.h"

#include "headwater/checkpoint/safetensors.h"
#include "headwater/nn/model_units.h"
#include "headwater/plan/search/auto_layout.h"
#include "headwater/run/global_batch.h"
#include "headwater/run/step_samples.h"
#include "headwater/train/engine.h"
#include "headwater/train/state_io.h"
#include "headwater/train/training_step.h"

#include <algorithm>

namespace headwater {
namespace {

std::vector<std::int32_t> read_integers(const SafetensorsReader& file, const std::string& name,
                                        Shape& shape) {
  const StoredTensor& tensor = file.at(name);
  if (tensor.shape.rank() != 2 || tensor.shape.elements() == 0)
    throw UserError("{}: tensor {} is {}, where [B, S] is expected", file.path().string(), name,
                    to_string(tensor.shape));
  if (shape.rank() == 0) shape = tensor.shape;
  if (!(tensor.shape == shape))
    throw UserError("{}: tensor {} is {}, but tokens is {}", file.path().string(), name,
                    to_string(tensor.shape), to_string(shape));
  std::vector<std::int32_t> values(static_cast<std::size_t>(shape.elements()));
  file.read(tensor, 0, TensorView(values.data(), DType::i32, shape));
  return values;
}

// Makes an engine that takes one sample a micro-batch and has no dropout.
std::unique_ptr<Engine> make_engine(World& world, const RunConfig& run, const WeightSource& weights,
                                    const RunSettings& settings, const ProbeBatch& batch, bool training) {
  const std::int64_t replicas = data_parallel_size(run.parallel, world.size());
  if (batch.samples % replicas != 0)
    throw UserError("the batch has {} samples, which {} data-parallel replicas cannot share equally",
                    batch.samples, replicas);
  RunConfig without_dropout = run;
  without_dropout.model = weights.model();
  without_dropout.model.attention_dropout = without_dropout.model.hidden_dropout = 0.0;
  const int micro_batches = training ? static_cast<int>(batch.samples / replicas) : 1;
  const RankLayoutRequest request =
      forward_request(without_dropout, settings, {1, batch.sequence}, micro_batches, training);
  const RankLayout layout(with_layers_found(request, settings.dtype, world.size()), world.rank(),
                          world.size());
  auto engine = std::make_unique<Engine>(world, layout, make_backend(settings, world, layout.host_bytes()));
  load_weights(engine->store(), engine->backend(), weights);
  return engine;
}

// Only what the given labels mask is masked.
Batch sample_of(const ProbeBatch& batch, std::int64_t sample, DocumentOptions documents) {
  documents.eod_mask_loss = false;
  const auto row = [&](const std::vector<std::int32_t>& values) -> std::span<const std::int32_t> {
    if (values.empty()) return {};
    return std::span(values).subspan(static_cast<std::size_t>(sample * batch.sequence),
                                     static_cast<std::size_t>(batch.sequence));
  };
  return make_batch(row(batch.tokens), row(batch.labels), 1, batch.sequence, documents);
}

void sum_over_ranks(Engine& engine, std::vector<float>& values) {
  const auto count = static_cast<std::int64_t>(values.size());
  engine.world_group().all_reduce(TensorView(values.data(), DType::f32, {count}), ReduceOp::sum).wait();
}

// Adds to the whole gradient of a parameter the part that this rank counts and no other does.
void add_part(Engine& engine, const ParameterPlace& place, std::vector<float>& whole_gradient) {
  const Slice slice = place.updated_slice();
  if (!place.counted_here || slice.count == 0) return;
  std::vector<float> values(static_cast<std::size_t>(slice.count));
  download(engine.backend(), engine.store().updated(engine.store().gradients(), place),
           TensorView(values.data(), DType::f32, {slice.count}));
  for_shared_runs(slice, whole(place.spec.shape),
                  [&](std::int64_t from, std::int64_t to, std::int64_t count) {
                    std::copy_n(values.begin() + from, count, whole_gradient.begin() + to);
                  });
}

}  // namespace

ProbeBatch read_probe_batch(const std::string& path, bool with_labels, std::int64_t vocabulary) {
  const SafetensorsReader file(path);
  ProbeBatch batch;
  Shape shape;
  batch.tokens = read_integers(file, "tokens", shape);
  if (with_labels) batch.labels = read_integers(file, "labels", shape);
  batch.samples = shape[0];
  batch.sequence = shape[1];
  for (const std::int32_t token : batch.tokens)
    if (token < 0 || token >= vocabulary)
      throw UserError("{}: token {} is outside the model's vocabulary of {}", path, token, vocabulary);
  for (std::int32_t& label : batch.labels) {
    if (label >= vocabulary)
      throw UserError("{}: label {} is outside the model's vocabulary of {}", path, label, vocabulary);
    label = std::max(label, kMaskedLabel);
  }
  return batch;
}

std::vector<float> probe_logits(World& world, const RunConfig& run, const WeightSource& weights,
                                const RunSettings& settings, const ProbeBatch& batch,
                                const DocumentOptions& documents) {
  const std::unique_ptr<Engine> engine = make_engine(world, run, weights, settings, batch, false);
  const std::int64_t vocabulary = weights.model().vocab_size;
  std::vector<float> logits(static_cast<std::size_t>(batch.samples * batch.sequence * vocabulary));
  const std::int64_t replicas = engine->layout().grid.size(Axis::data);
  for (std::int64_t first = 0; first < batch.samples; first += replicas) {
    const std::int64_t sample = first_sample_of(engine->layout(), first, 0);
    engine->execute(engine->layout().evaluation, HeadMode::none,
                    [&](int) { return sample_of(batch, sample, documents); });
    engine->logits(0, [&](std::int64_t row, std::int64_t column, TensorView block) {
      // Rows are copied one by one, because they are strided where the vocabulary is padded.
      for (std::int64_t r = 0; r < block.rows(); ++r) {
        const TensorView from = block.rows(r, 1);
        download(engine->backend(), from,
                 TensorView(logits.data() + (sample * batch.sequence + row + r) * vocabulary + column,
                            DType::f32, from.shape));
      }
    });
  }
  sum_over_ranks(*engine, logits);  // each element was made on one rank and is zero on the others
  return logits;
}

ProbeGradients probe_gradients(World& world, const RunConfig& run, const WeightSource& weights,
                               const RunSettings& settings, const ProbeBatch& batch,
                               const DocumentOptions& documents) {
  const auto targets =
      std::count_if(batch.labels.begin(), batch.labels.end(), [](std::int32_t label) { return label >= 0; });
  if (targets == 0) throw UserError("the batch has no label that is not masked");
  const std::unique_ptr<Engine> engine = make_engine(world, run, weights, settings, batch, true);
  Optimizer optimizer = make_optimizer(run.optimizer, *engine, run.training.seed);
  optimizer.begin_step(0.0, static_cast<double>(targets));
  engine->execute(engine->layout().schedule, HeadMode::train, [&](int m) {
    return sample_of(batch, first_sample_of(engine->layout(), 0, m), documents);
  });
  optimizer.reduce();

  ProbeGradients result;
  StepScalars scalars = optimizer.read();
  result.loss = at(scalars, StepScalar::loss_sum) / static_cast<double>(targets);
  for (const ParameterSpec& spec : parameters(engine->layout().request.model)) {
    std::vector<float> gradient(static_cast<std::size_t>(spec.elements()));
    if (engine->store().has(spec.name)) add_part(*engine, engine->store().place(spec.name), gradient);
    sum_over_ranks(*engine, gradient);
    result.gradients.emplace(spec.name, std::move(gradient));
  }
  return result;
}

}  // namespace headwater
