#include "operation.h"

#include "headwater/base/clock.h"

#include <algorithm>

namespace headwater::comm {

Group::Group(Place place) : sends(place.ranks.size()), receives(place.ranks.size()) {
  name = std::move(place.name);
  index = place.index;
  ranks = std::move(place.ranks);
  channels = std::move(place.channels);
}

Lane& Call::lane() const {
  switch (kind) {
    case CallKind::send: return group->sends[static_cast<std::size_t>(peer)];
    case CallKind::receive: return group->receives[static_cast<std::size_t>(peer)];
    case CallKind::collective: break;
  }
  return group->collectives;
}

std::string Call::describe() const {
  return fmt::format("{} #{} of group {}", operation, sequence, group->name);
}

std::string Call::content() const { return fmt::format("{} of {} bytes", operation, bytes); }

void WaitBoard::wait(Operation& operation) {
  std::unique_lock lock(mutex_);
  if (operation.done()) return;
  waits_.push_back({&operation, now_seconds()});
  condition_.wait(lock, [&] { return operation.done(); });
  const auto wait =
      std::find_if(waits_.begin(), waits_.end(), [&](const Wait& w) { return w.operation == &operation; });
  waited_seconds_ += now_seconds() - wait->since;
  waits_.erase(wait);
}

void WaitBoard::settled() {
  // The lock orders this wake-up after a waiter's look at done().
  { const std::lock_guard lock(mutex_); }
  condition_.notify_all();
}

bool WaitBoard::anybody_waits() const {
  const std::lock_guard lock(mutex_);
  return !waits_.empty();
}

double WaitBoard::waited_seconds() const {
  const std::lock_guard lock(mutex_);
  return waited_seconds_;
}

std::shared_ptr<Operation> WaitBoard::waited_since_before(double time) const {
  const std::lock_guard lock(mutex_);
  for (const Wait& wait : waits_)
    if (wait.since < time && !wait.operation->done()) return wait.operation->shared_from_this();
  return nullptr;
}

Operation::Operation(std::shared_ptr<WaitBoard> board, Call call, Steps steps, Event after)
    : board_(std::move(board)), call_(std::move(call)), steps_(std::move(steps)), after_(std::move(after)) {}

void Operation::wait() {
  if (!done()) board_->wait(*this);
  if (state_.load(std::memory_order_acquire) == State::failed) raise(failure_);
}

bool Operation::run(Transport& transport) {
  while (step_ < steps_.size() && steps_[step_]->run(transport)) ++step_;
  return step_ == steps_.size();
}

void Operation::end() {
  state_.store(State::ended, std::memory_order_release);
  board_->settled();
}

void Operation::fail(const Failure& failure) {
  failure_ = failure;
  state_.store(State::failed, std::memory_order_release);
  board_->settled();
}

}  // namespace headwater::comm
