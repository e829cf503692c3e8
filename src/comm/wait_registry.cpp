#include "wait_registry.h"

#include "operation.h"

#include "headwater/base/clock.h"

#include <algorithm>

namespace headwater::comm {

void WaitRegistry::wait(Operation& operation) {
  std::unique_lock lock(mutex_);
  if (operation.done()) return;
  waits_.push_back({&operation, now_seconds()});
  done_.wait(lock, [&] { return operation.done(); });
  const auto wait =
      std::find_if(waits_.begin(), waits_.end(), [&](const Wait& w) { return w.operation == &operation; });
  waited_seconds_ += now_seconds() - wait->since;
  waits_.erase(wait);
}

void WaitRegistry::notify() {
  // A waiter holds the lock from its look at done() until it sleeps. Taking the lock once keeps this wake-up
  // from falling between the two.
  { const std::lock_guard lock(mutex_); }
  done_.notify_all();
}

bool WaitRegistry::anybody_waits() const {
  const std::lock_guard lock(mutex_);
  return !waits_.empty();
}

double WaitRegistry::waited_seconds() const {
  const std::lock_guard lock(mutex_);
  return waited_seconds_;
}

std::shared_ptr<Operation> WaitRegistry::waited_for_since_before(double time) const {
  const std::lock_guard lock(mutex_);
  for (const Wait& wait : waits_)
    if (wait.since < time && !wait.operation->done()) return wait.operation->shared_from_this();
  return nullptr;
}

}  // namespace headwater::comm
