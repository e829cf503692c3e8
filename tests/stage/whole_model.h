#pragma once
// A whole model, or a tensor rank's share of it, as one stage on any backend, with its memory, parameters and
// one batch: what tests of the blocks take loss and gradients from. Weights are random in every tensor, gains
// and biases included, so that a dropped term shows; they are bf16 numbers, so that every precision starts
// from the same ones.

#include "headwater/base/random.h"
#include "headwater/data/batch.h"
#include "headwater/nn/unit_record.h"
#include "headwater/stage/stage.h"
#include "headwater/tensor/convert.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace headwater::test {

class WholeModel {
 public:
  // The first `recomputed` layers are recomputed as said.
  WholeModel(const ModelSpec& model, BatchShape shape, Precision precision, std::unique_ptr<Backend> backend,
             const SlotCounts& slots = {}, Recompute recompute = Recompute::none, int recomputed = 0,
             const TensorRanks& ranks = {})
      : precision_(precision), backend_(std::move(backend)), arena_(backend_->device()) {
    const StageUnits units{0, model.units(), true, true, recompute, recomputed};
    const Sharding& sharding = ranks.sharding();
    const ParameterLayout parameters(model, {units}, sharding, {.tensor_rank = ranks.rank()});
    MemoryRequest request;
    request.chunks = {{units, slots, 0}};
    request.sharding = sharding;
    request.batch = shape;
    request.precision = precision;
    request.op_workspace = op_workspace_bytes(request.site(model, 0), true, 1);
    for (const SegmentSize& segment : arena_layout(model, parameters, request))
      arena_.reserve(segment.name, segment.bytes);

    memory_.constants = take_constants(unit_constants(model, request), arena_, *backend_);
    memory_.scalars = arena_.take("constants", DType::f64, {kStepScalars});
    for (TensorView& gradient : memory_.stream_gradient)
      gradient =
          arena_.take("workspace", precision.compute, {sharding.local_tokens(shape.tokens()), model.hidden});
    backend_->use_workspace(arena_.take("workspace", DType::i32, {aligned(request.op_workspace) / 4}));
    memory_.scratch = arena_.take("workspace", DType::i32, {scratch_bytes(model, request) / 4});
    store_ = std::make_unique<ParameterStore>(parameters, arena_, precision, true);
    stage_ = std::make_unique<Stage>(model, units, StageOptions{sharding, shape, precision, slots, true},
                                     *store_, arena_, *backend_, memory_, ranks);
    fill_weights();
  }

  ParameterStore& store() { return *store_; }
  Stage& stage() { return *stage_; }
  const Arena& arena() const { return arena_; }

  void set_batch(const Batch& batch, std::uint64_t dropout_seed, int slot = 0) {
    MicroBatch& to = stage_->micro_batch(slot);
    const auto copy = [&](const std::vector<std::int32_t>& host, TensorView view) {
      if (view) std::copy(host.begin(), host.end(), view.as<std::int32_t>());
    };
    copy(batch.tokens, to.tokens);
    copy(batch.labels, to.labels);
    copy(batch.position, to.position);
    copy(batch.attention_start, to.attention_start);
    copy(batch.lfa_start, to.lfa_start);
    for (std::int64_t i = 0; to.dropout_keys && i < to.dropout_keys.elements(); ++i)
      to.dropout_keys.as<std::int32_t>()[i] =
          static_cast<std::int32_t>(philox(RandomKey{dropout_seed}, static_cast<std::uint64_t>(i))[0]);
    targets_ = static_cast<double>(batch.unmasked_targets());
  }

  // The mean loss; leaves gradients behind that backward() completes.
  double forward(const SlotNumbers& numbers = {}) {
    double* scalars = memory_.scalars.as<double>();
    scalars[static_cast<int>(StepScalar::loss_sum)] = 0.0;
    scalars[static_cast<int>(StepScalar::targets)] = targets_;
    stage_->forward(numbers, {}, {}, HeadMode::train);
    return loss();
  }
  // Of the last forward().
  double loss() const {
    return memory_.scalars.as<double>()[static_cast<int>(StepScalar::loss_sum)] / targets_;
  }

  // Of every parameter, by name.
  std::map<std::string, std::vector<double>> gradients() {
    backend_->run(op::Zero{store_->gradients()});
    forward();
    stage_->backward({}, {}, {}, {});
    return read_gradients();
  }

  // As they have been summed up to now.
  std::map<std::string, std::vector<double>> read_gradients() {
    std::map<std::string, std::vector<double>> all;
    for (const ParameterPlace& place : store_->layout().places()) {
      std::vector<double> values(static_cast<std::size_t>(place.slice().count));
      download(*backend_, store_->part(store_->gradients(), place), dense(values));
      all.emplace(place.spec.name, std::move(values));
    }
    return all;
  }

 private:
  static TensorView dense(std::vector<double>& values) {
    return {values.data(), DType::f64, {static_cast<std::int64_t>(values.size())}};
  }

  void fill_weights() {
    for (const ParameterPlace& place : store_->layout().places()) {
      const RandomKey key = derive(RandomKey{7}, place.spec.name);
      const bool gain = place.spec.name.ends_with("norm.weight");
      const Slice here = place.slice();
      std::vector<double> values(static_cast<std::size_t>(here.count));
      for_shared_runs(
          whole(place.spec.shape), here, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
            for (std::int64_t i = 0; i < count; ++i)
              values[static_cast<std::size_t>(to + i)] = static_cast<float>(bf16(static_cast<float>(
                  (gain ? 1.0 : 0.0) + 0.25 * normal(key, static_cast<std::uint64_t>(from + i)))));
          });
      store_->set_weights(*backend_, place, dense(values));
    }
  }

  Precision precision_;
  std::unique_ptr<Backend> backend_;
  Arena arena_;
  StageMemory memory_;
  std::unique_ptr<ParameterStore> store_;
  std::unique_ptr<Stage> stage_;
  double targets_ = 1.0;
};

}  // namespace headwater::test
