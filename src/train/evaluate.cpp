#include "headwater/train/evaluate.h"

#include "headwater/optim/optimizer.h"
#include "headwater/run/step_samples.h"

#include <algorithm>

namespace headwater {
namespace {

// Returns `count` samples of the stream from `first` on. In place of those from `end` on it repeats the
// sample before `end`, with all labels masked.
Batch batch_up_to(const SampleStream& stream, std::int64_t first, std::int64_t count, std::int64_t end,
                  const DocumentOptions& documents) {
  const std::int64_t sequence = stream.seq_length();
  std::vector<std::int32_t> tokens, labels;
  for (std::int64_t sample = first; sample < first + count; ++sample) {
    const std::vector<std::int32_t> ids = stream.get(std::min(sample, end - 1));
    tokens.insert(tokens.end(), ids.begin(), ids.end() - 1);
    if (sample < end)
      labels.insert(labels.end(), ids.begin() + 1, ids.end());
    else
      labels.insert(labels.end(), static_cast<std::size_t>(sequence), kMaskedLabel);
  }
  return make_batch(tokens, labels, count, sequence, documents);
}

}  // namespace

Evaluation evaluate(Engine& engine, const SampleStream& stream, const DocumentOptions& documents,
                    std::int64_t samples, const std::function<bool()>& stop) {
  const RankLayout& layout = engine.layout();
  const std::int64_t micro = layout.request.batch.samples;
  const std::int64_t global = samples_of_round(layout) * layout.request.micro_batches;
  const std::int64_t all = stream.samples_per_epoch();
  const std::int64_t end = samples == 0 ? all : std::min(all, samples);

  Backend& backend = engine.backend();
  backend.run(op::Zero{engine.scalars()});
  Evaluation result;
  double targets = 0.0;  // of this replica; counted on the rank that adds its loss
  for (std::int64_t first = 0; first < end; first += global) {
    if (stop && stop()) {
      result.stopped = true;
      return result;
    }
    engine.execute(layout.evaluation, HeadMode::evaluate, [&](int micro_batch) {
      Batch batch = batch_up_to(stream, first_sample_of(layout, first, micro_batch), micro, end, documents);
      if (engine.has_head()) targets += static_cast<double>(batch.unmasked_targets());
      return batch;
    });
  }
  std::array<double, 2> sums{};
  StepScalars scalars{};
  backend.to_host(engine.scalars(), TensorView(scalars.data(), DType::f64, {kStepScalars}));
  sums = {at(scalars, StepScalar::loss_sum), targets};
  engine.loss_group().all_reduce(TensorView(sums.data(), DType::f64, {2}), ReduceOp::sum).wait();
  result.loss_sum = sums[0];
  result.targets = sums[1];
  if (result.targets == 0.0) throw UserError("the validation data has no target that is not masked");
  return result;
}

}  // namespace headwater
