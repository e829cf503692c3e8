#include "headwater/optim/optimizer.h"

#include "headwater/tensor/profile_range.h"

#include <algorithm>

namespace headwater {

Optimizer::Optimizer(const OptimizerConfig& config, ParameterStore& store, Backend& backend,
                     OptimizerGroups groups, TensorView scalars, TensorView tied_buffer, RandomKey rounding)
    : config_(config),
      store_(store),
      backend_(backend),
      groups_(std::move(groups)),
      scalars_(scalars),
      tied_buffer_(tied_buffer),
      rounding_(rounding),
      sums_(store.layout().buckets().size()) {
  for (const Bucket& bucket : store.layout().buckets()) runs_.push_back(runs_of(bucket));
}

// Returns the rounding of a parameter's elements from `begin` on, as they lie here. They form a box that is
// cut along one dimension at most.
StochasticRounding Optimizer::rounding_of(const ParameterPlace& place, std::int64_t begin) const {
  StochasticRounding rounding;
  rounding.on = config_.stochastic_rounding;
  rounding.key = derive(rounding_, place.spec.name).value;
  rounding.begin = begin;
  std::int64_t inner = 1;
  for (int d = place.spec.shape.rank(); d-- > 0; inner *= place.spec.shape[d]) {
    if (place.box.size[d] == place.spec.shape[d]) continue;
    rounding.first = place.box.begin[d] * inner;
    rounding.columns = place.box.size[d] * inner;
    rounding.row = place.spec.shape[d] * inner;
    break;
  }
  return rounding;
}

// This rank's part of the bucket, gaps between parameters included: they are zero and stay so.
std::vector<Optimizer::Run> Optimizer::runs_of(const Bucket& bucket) const {
  const Range shard = store_.layout().shard(bucket);
  const std::vector<ParameterPlace>& places = store_.layout().places();
  std::vector<Run> runs;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const std::int64_t next = i + 1 < places.size() ? places[i + 1].offset : bucket.range.end;
    const Range range{std::max(shard.begin, places[i].offset), std::min(shard.end, next)};
    if (range.size() <= 0) continue;
    const bool decays = places[i].spec.decays;
    if (!runs.empty() && runs.back().decays == decays && !config_.stochastic_rounding)
      runs.back().elements.end = range.end;
    else
      runs.push_back({range, decays, rounding_of(places[i], range.begin - places[i].offset)});
  }
  return runs;
}

void Optimizer::begin_step(double learning_rate, double targets) {
  const ProfileRange range("optimizer begins");
  StepScalars scalars{};
  at(scalars, StepScalar::targets) = targets;
  at(scalars, StepScalar::learning_rate) = learning_rate;
  at(scalars, StepScalar::updates) = static_cast<double>(updates_);
  backend_.to_device(TensorView(scalars.data(), DType::f64, {kStepScalars}), scalars_);
  backend_.run(op::Zero{store_.gradients()});
  for (std::size_t i = 0; i < sums_.size(); ++i)
    sums_[i] = {store_.layout().buckets()[i].units.size(), false, {}, {}, {}};
}

void Optimizer::complete(int unit) {
  const std::vector<Bucket>& buckets = store_.layout().buckets();
  for (std::size_t i = 0; i < buckets.size(); ++i)
    if (std::ranges::binary_search(buckets[i].units, unit) && --sums_[i].units_left == 0) start_sum(i);
}

void Optimizer::start_sum(std::size_t i) {
  const Bucket& bucket = store_.layout().buckets()[i];
  Sum& sum = sums_[i];
  sum.started = true;
  sum.done = backend_.queue().record();
  const ParameterLayout& layout = store_.layout();
  const auto sum_over = [&](AxisSet axes, Range range) {
    sum.done = groups_.reduction(axes).all_reduce(gradients(range), ReduceOp::sum, sum.done);
  };
  for (const Bucket::Also& also : bucket.also) sum_over(also.axes, also.range);
  sum_over(layout.whole_sum_axes(bucket), bucket.range);
  const TensorView mine = gradients(layout.shard(bucket));
  if (layout.sharded())
    sum.done = groups_.reduction(kShardAxes).reduce_scatter(gradients(bucket.range), mine, sum.done);
  if (!bucket.tied_across_stages) return;
  const int other = 1 - groups_.tied->rank();
  sum.sent = groups_.tied->send(mine, other, sum.done);
  sum.received = groups_.tied->receive(tied_buffer_, other, backend_.queue().record());
}

// Both ends of the pipeline end with the same bits: a sum of two does not depend on their order.
void Optimizer::finish_sum(std::size_t i) {
  const Bucket& bucket = store_.layout().buckets()[i];
  Queue& queue = backend_.queue();
  queue.wait(sums_[i].done);
  if (!bucket.tied_across_stages) return;
  queue.wait(sums_[i].sent);
  queue.wait(sums_[i].received);
  backend_.run(op::Add{.x = tied_buffer_, .y = gradients(store_.layout().shard(bucket))});
}

void Optimizer::reduce() {
  const ProfileRange range("optimizer reduces");
  for (std::size_t i = sums_.size(); i-- > 0;)
    if (!sums_[i].started) start_sum(i);
  for (std::size_t i = 0; i < sums_.size(); ++i) finish_sum(i);

  for (const ParameterPlace& place : store_.layout().places())
    if (place.counted_here && place.updated.size() > 0)
      backend_.run(op::AddSquaredNorm{.x = store_.updated(store_.gradients(), place),
                                      .sum = scalar(StepScalar::norm_squared)});
  Queue& queue = backend_.queue();
  const Event norm = groups_.all.all_reduce(scalar(StepScalar::norm_squared), ReduceOp::sum, queue.record());
  const Event loss = groups_.loss.all_reduce(scalar(StepScalar::loss_sum), ReduceOp::sum, queue.record());
  queue.wait(norm);
  queue.wait(loss);
}

void Optimizer::update() {
  const ProfileRange range("optimizer updates");
  backend_.run(op::DecideStep{.clip = config_.clip_grad, .scalars = scalars_});
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    for (const Run& run : runs_[i]) update(run);
    const Bucket& bucket = store_.layout().buckets()[i];
    Event ready = backend_.queue().record();
    if (store_.layout().sharded())
      ready = groups_.reduction(kShardAxes)
                  .all_gather(range_of(store_.weights(), store_.layout().shard(bucket)),
                              range_of(store_.weights(), bucket.range), ready);
    store_.weights_ready_after(i, ready);
  }
}

void Optimizer::update(const Run& run) {
  op::AdamW adamw;
  adamw.master = store_.updated(store_.masters(), run.elements);
  adamw.gradient = gradients(run.elements);
  adamw.first_moment = store_.updated(store_.first_moments(), run.elements);
  adamw.second_moment = store_.updated(store_.second_moments(), run.elements);
  adamw.weight = range_of(store_.weights(), run.elements);
  adamw.beta1 = config_.adam_beta1;
  adamw.beta2 = config_.adam_beta2;
  adamw.epsilon = config_.adam_eps;
  adamw.weight_decay = run.decays ? config_.weight_decay : 0.0;
  adamw.rounding = run.rounding;
  adamw.scalars = scalars_;
  backend_.run(adamw);
}

StepScalars Optimizer::read() {
  const ProfileRange range("optimizer reads");
  StepScalars scalars{};
  backend_.to_host(scalars_, TensorView(scalars.data(), DType::f64, {kStepScalars}));
  updates_ = static_cast<std::int64_t>(at(scalars, StepScalar::updates));
  return scalars;
}

}  // namespace headwater
