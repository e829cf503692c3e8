#pragma once
// Which operations the rank's threads are waiting for, and since when.
//
// Operation::wait blocks here. The progress engine reads from it whether a wait has passed its deadline.
// Any thread may call it; locks inside.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

namespace headwater::comm {

class Operation;

class WaitRegistry {
 public:
  // Blocks until the operation is done.
  void wait(Operation& operation);
  // Wakes the threads whose operation is done by now. To be called after an operation has become done.
  void notify();

  bool anybody_waits() const;
  // The seconds of all waits that have ended, added up over threads.
  double waited_seconds() const;
  // An operation that is not done and that a thread has been waiting for since before `time` (seconds of
  // now_seconds()); null if there is none.
  std::shared_ptr<Operation> waited_for_since_before(double time) const;

 private:
  struct Wait {
    Operation* operation;
    double since;
  };

  mutable std::mutex mutex_;
  std::condition_variable done_;
  std::vector<Wait> waits_;
  double waited_seconds_ = 0.0;
};

}  // namespace headwater::comm
