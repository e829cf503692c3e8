#include "headwater/optim/optimizer.h"

#include <vector>

namespace headwater {

Optimizer::Optimizer(const OptimizerConfig& config, ParameterStore& store, Backend& backend, OptimizerGroups groups,
                     std::function<bool(const ParameterPlace&)> owned, TensorView scalars, TensorView tied_buffer)
    : config_(config),
      store_(store),
      backend_(backend),
      groups_(std::move(groups)),
      owned_(std::move(owned)),
      scalars_(scalars),
      tied_buffer_(tied_buffer) {}

void Optimizer::begin_step(double learning_rate, double targets) {
  StepScalars scalars{};
  at(scalars, StepScalar::targets) = targets;
  at(scalars, StepScalar::learning_rate) = learning_rate;
  at(scalars, StepScalar::updates) = static_cast<double>(updates_);
  backend_.to_device(TensorView(scalars.data(), DType::f64, {kStepScalars}), scalars_);
  backend_.zero(store_.gradients());
}

void Optimizer::reduce() {
  Queue& queue = backend_.queue();
  std::vector<Event> sums;
  for (const Bucket& bucket : store_.layout().buckets())
    sums.push_back(groups_.reduction(bucket.reduced_over)
                       .all_reduce(range_of(store_.gradients(), bucket.begin, bucket.end - bucket.begin), ReduceOp::sum,
                                   queue.record()));
  for (const Event& sum : sums) queue.wait(sum);
  for (const Bucket& bucket : store_.layout().buckets())
    if (bucket.tied_across_stages) exchange_tied(bucket);

  for (const ParameterPlace& place : store_.layout().places())
    if (owned_(place))
      backend_.add_squared_norm(range_of(store_.gradients(), place.offset, place.elements()),
                                scalar(StepScalar::norm_squared));
  const Event norm = groups_.all.all_reduce(scalar(StepScalar::norm_squared), ReduceOp::sum, queue.record());
  const Event loss = groups_.loss.all_reduce(scalar(StepScalar::loss_sum), ReduceOp::sum, queue.record());
  queue.wait(norm);
  queue.wait(loss);
}

// Both ends end with first + last, to the bit.
void Optimizer::exchange_tied(const Bucket& bucket) {
  Queue& queue = backend_.queue();
  Communicator& pair = *groups_.tied;
  const TensorView mine = range_of(store_.gradients(), bucket.begin, bucket.end - bucket.begin);
  const int other = 1 - pair.rank();
  const Event sent = pair.send(mine, other, queue.record());
  const Event received = pair.receive(tied_buffer_, other, queue.record());
  queue.wait(sent);
  queue.wait(received);
  backend_.add(tied_buffer_, mine);
}

void Optimizer::update() {
  backend_.decide_step(config_.clip_grad, scalars_);
  const std::vector<ParameterPlace>& places = store_.layout().places();
  for (std::size_t i = 0; i < places.size();) {
    // One call for neighbours of one decay; the gaps between them are zero and stay so.
    std::size_t end = i + 1;
    while (end < places.size() && places[end].spec.decays == places[i].spec.decays) ++end;
    const std::int64_t begin = places[i].offset;
    const std::int64_t count = (end < places.size() ? places[end].offset : store_.layout().elements()) - begin;
    AdamWArgs args;
    args.master = range_of(store_.masters(), begin, count);
    args.gradient = range_of(store_.gradients(), begin, count);
    args.first_moment = range_of(store_.first_moments(), begin, count);
    args.second_moment = range_of(store_.second_moments(), begin, count);
    args.weight = range_of(store_.weights(), begin, count);
    args.beta1 = config_.adam_beta1;
    args.beta2 = config_.adam_beta2;
    args.epsilon = config_.adam_eps;
    args.weight_decay = places[i].spec.decays ? config_.weight_decay : 0.0;
    backend_.adamw(args, scalars_);
    i = end;
  }
  store_.refresh(backend_);
}

StepScalars Optimizer::read() {
  StepScalars scalars{};
  backend_.to_host(scalars_, TensorView(scalars.data(), DType::f64, {kStepScalars}));
  updates_ = static_cast<std::int64_t>(at(scalars, StepScalar::updates));
  return scalars;
}

}  // namespace headwater
