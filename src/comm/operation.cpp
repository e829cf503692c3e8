#include "operation.h"

namespace headwater::comm {

CallQueue& Call::queue() const {
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

Operation::Operation(std::shared_ptr<WaitRegistry> waits, Call call, Steps steps, Event after)
    : waits_(std::move(waits)), call_(std::move(call)), steps_(std::move(steps)), after_(std::move(after)) {}

void Operation::wait() {
  if (!done()) waits_->wait(*this);
  if (state_.load(std::memory_order_acquire) == State::failed) raise(failure_);
}

bool Operation::run(Transport& transport) {
  while (step_ < steps_.size() && steps_[step_]->run(transport)) ++step_;
  return step_ == steps_.size();
}

void Operation::end() {
  state_.store(State::ended, std::memory_order_release);
  waits_->notify();
}

void Operation::fail(const Failure& failure) {
  failure_ = failure;
  state_.store(State::failed, std::memory_order_release);
  waits_->notify();
}

}  // namespace headwater::comm
