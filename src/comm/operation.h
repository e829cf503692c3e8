#pragma once
// A call on a communicator while it runs: its description, the steps that carry it out, and the event that
// its caller holds.
//
// The progress engine's thread runs it; any thread may wait for it.

#include "group.h"
#include "steps.h"
#include "wait_registry.h"

#include "headwater/base/failure.h"
#include "headwater/tensor/queue.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace headwater::comm {

enum class CallKind : std::uint8_t { collective, send, receive };

// Describes one call, for the queue that it belongs in, the flight recorder and error messages.
struct Call {
  std::shared_ptr<Group> group;
  CallKind kind = CallKind::collective;
  int peer = -1;          // the member that a message goes to or comes from; −1 for a collective
  std::string operation;  // "all_reduce", "send to 2"
  std::int64_t bytes = 0;
  std::uint64_t sequence = 0;  // within its queue, from 1
  std::uint64_t record = 0;    // its id in the flight recorder

  CallQueue& queue() const;
  std::string describe() const;  // "all_reduce #17 of group data"
  std::string content() const;   // "all_reduce of 4096 bytes"
};

class Operation final : public EventState, public std::enable_shared_from_this<Operation> {
 public:
  // The steps may start once `after` is done. Threads that wait for the operation do so in `waits`.
  Operation(std::shared_ptr<WaitRegistry> waits, Call call, Steps steps, Event after);

  bool done() const override { return state_.load(std::memory_order_acquire) != State::pending; }
  void wait() override;

  const Call& call() const { return call_; }

  // The rest is for the engine's thread.
  bool ready() const { return after_.done(); }
  bool run(Transport& transport);  // true once the last step has ended
  void end();
  void fail(const Failure& failure);

  double started = 0.0;  // now_seconds() at its first step; 0 before

 private:
  enum class State : std::uint8_t { pending, ended, failed };

  std::shared_ptr<WaitRegistry> waits_;
  Call call_;
  Steps steps_;
  std::size_t step_ = 0;
  Event after_;
  Failure failure_;  // may be read once state_ is `failed`
  std::atomic<State> state_ = State::pending;
};

}  // namespace headwater::comm
