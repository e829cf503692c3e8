#pragma once
// One call on a communicator: what it is called, its steps, and the event its caller holds.
//
// The engine's thread runs it; any thread may wait for it. A Lane holds the calls that must run one after the
// other: the collectives of a group, and the messages of a group to, or from, one peer. Waits stand on a
// WaitBoard, where the engine sees how long they last.

#include "headwater/base/failure.h"
#include "steps.h"

#include <condition_variable>
#include <deque>
#include <mutex>

namespace headwater::comm {

class Operation;

struct Lane {
  std::atomic<std::uint64_t> queued = 0;           // calls made so far: the last one's sequence number
  std::deque<std::shared_ptr<Operation>> waiting;  // the engine's thread only; the first may be under way
};

// What a new group is to this rank: its own place in it, and the channel to each member.
struct Place {
  std::string name;
  int index = 0;
  std::vector<int> ranks;     // of the world
  std::vector<int> channels;  // see Members
};

struct Group : Members {
  explicit Group(Place place);
  virtual ~Group() = default;

  // The engine's thread, once a failure has ended all communication: ends calls that run on a device.
  virtual void abandon() {}
  virtual bool on_device() const { return false; }

  Lane collectives;
  std::vector<Lane> sends, receives;  // by member
};

enum class CallKind : std::uint8_t { collective, send, receive };

struct Call {
  std::shared_ptr<Group> group;
  CallKind kind = CallKind::collective;
  int peer = -1;          // send, receive: the member
  std::string operation;  // "all_reduce", "send to 2"
  std::int64_t bytes = 0;
  std::uint64_t sequence = 0;
  std::uint64_t record = 0;  // of the flight recorder

  Lane& lane() const;
  std::string describe() const;  // "all_reduce #17 of group data"
  std::string content() const;   // "all_reduce of 4096 bytes"
};

class WaitBoard {
 public:
  void wait(Operation& operation);
  void settled();  // wakes who waits
  bool anybody_waits() const;
  double waited_seconds() const;  // of all waits that have ended
  // A call that somebody has waited for since before `time`.
  std::shared_ptr<Operation> waited_since_before(double time) const;

 private:
  struct Wait {
    Operation* operation;
    double since;
  };
  mutable std::mutex mutex_;
  std::condition_variable condition_;
  std::vector<Wait> waits_;
  double waited_seconds_ = 0.0;
};

class Operation final : public EventState, public std::enable_shared_from_this<Operation> {
 public:
  Operation(std::shared_ptr<WaitBoard> board, Call call, Steps steps, Event after);

  bool done() const override { return state_.load(std::memory_order_acquire) != State::pending; }
  void wait() override;

  // The engine's thread:
  const Call& call() const { return call_; }
  bool ready() const { return after_.done(); }
  bool run(Transport& transport);  // true once ended
  void end();
  void fail(const Failure& failure);

  double started = 0.0;  // 0: not yet

 private:
  enum class State : std::uint8_t { pending, ended, failed };

  std::shared_ptr<WaitBoard> board_;
  Call call_;
  Steps steps_;
  std::size_t step_ = 0;
  Event after_;
  Failure failure_;  // read once state_ says failed
  std::atomic<State> state_ = State::pending;
};

}  // namespace headwater::comm
