#pragma once
// The progress engine of one rank: a thread that makes all calls of the transport, so that messages move on
// while the compute thread computes.
//
// The thread polls the operations under way (it never blocks in the transport, which wakes it where it can),
// answers the other ranks' engines, and watches how long anybody waits. When communication has failed it
// fails all operations, present and future.
//
// Any thread of the rank may call the public members. What they ask for is put in an inbox, and the engine's
// thread does it.

#include "control_message.h"
#include "failure_arbiter.h"
#include "liveness_poll.h"

#include "headwater/comm/flight_recorder.h"

#include <future>
#include <thread>

namespace headwater::comm {

class ProgressEngine {
 public:
  using Open = std::function<std::unique_ptr<Transport>()>;

  // Waits until `open` has made the transport, in the engine's thread, and throws what it throws. With
  // `end_job` a failure ends the job on all ranks (see failure_arbiter.h; `end_job` is called in the engine's
  // thread). Without it a failure only makes every wait throw.
  explicit ProgressEngine(const Open& open, FailureArbiter::EndJob end_job = {});
  // Fails the operations under way, unless close() has been called.
  ~ProgressEngine();
  ProgressEngine(const ProgressEngine&) = delete;
  ProgressEngine& operator=(const ProgressEngine&) = delete;

  int rank() const { return rank_; }
  int size() const { return static_cast<int>(hosts_.size()); }
  const std::vector<std::string>& hosts() const { return hosts_; }
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }
  FlightRecorder& recorder() { return recorder_; }
  const FlightRecorder& recorder() const { return recorder_; }
  const std::shared_ptr<WaitRegistry>& waits() const { return waits_; }
  std::int64_t sent_bytes() const { return transport_->sent_bytes(); }  // not after close()

  // Makes the group known, so that questions about its calls can be answered. The engine does not own it.
  void add_group(const std::shared_ptr<Group>& group);
  // Numbers the call and records it. Its steps run once `after` is done and the calls before it in its queue
  // have ended.
  std::shared_ptr<Operation> submit(Call call, Steps steps, Event after);
  void set_timeout(double seconds) { timeout_ = seconds; }
  bool broken() const { return broken_; }  // whether communication has failed
  void throw_if_broken() const;            // throws why it has
  bool peers_alive(double seconds);        // see World
  bool abandon();                          // see World
  // Tells the other ranks that this one has failed, and fails all operations here. Does not wait.
  void announce_failure(Failure failure);
  // Waits until all operations have ended, then closes the transport. Throws if communication fails.
  void close();

 private:
  void post(std::function<void()> command);
  void main(const Open& open, FailureArbiter::EndJob end_job, std::promise<void>& opened);
  bool run_commands();
  bool run_queues();
  bool run_queue(CallQueue& queue, bool& moved);
  bool receive_control_messages();
  void handle(int from, const ControlMessage& message);
  void answer(int asker, const ControlMessage& question);
  void send_to_all(const ControlMessage& message);
  void start_poll(std::optional<Call> call, double seconds, LivenessPoll::Conclude conclude);
  void check_deadlines();
  std::shared_ptr<Operation> overdue(double now, double limit) const;
  void diagnose(const Call& call, double limit);
  void fail_all(const Failure& failure);
  bool calls_on_device() const;
  void report_for_compute_thread(double now);
  void back_off(double now);
  bool is_told() const;

  // Set by the engine's thread before the constructor returns, and constant from then on.
  int rank_ = 0, local_rank_ = 0, local_size_ = 0;
  std::vector<std::string> hosts_;

  FlightRecorder recorder_;
  std::shared_ptr<WaitRegistry> waits_ = std::make_shared<WaitRegistry>();
  std::atomic<double> timeout_ = 600.0;
  std::atomic<bool> broken_ = false;
  Failure failure_;  // why; written once, before broken_ is set

  std::mutex inbox_mutex_;
  std::condition_variable inbox_filled_;
  std::vector<std::function<void()>> inbox_;
  bool arrived_ = false;  // the transport has announced something since the engine last slept

  // From here on everything belongs to the engine's thread.
  std::unique_ptr<Transport> transport_;
  std::vector<std::weak_ptr<Group>> groups_;
  // Groups kept alive because the transport may still use their memory after a failure.
  std::vector<std::shared_ptr<Group>> unreleased_groups_;
  // The queues with operations in them. These operations own the group, and so the queue.
  std::vector<CallQueue*> busy_queues_;
  std::vector<LivenessPoll> polls_;
  std::uint64_t last_poll_ = 0;  // number of the newest poll
  bool diagnosing_ = false;      // a poll about an overdue call is under way
  bool heard_failure_ = false;   // another rank has said that it failed
  double broken_since_ = 0.0;
  bool announced_failure_ = false;           // this rank's failure has been announced
  std::unique_ptr<FailureArbiter> arbiter_;  // null without end_job
  double last_moved_ = 0.0;                  // when anything last moved
  double last_check_ = 0.0, next_early_check_ = 0.0;
  bool running_ = true;
  bool oversubscribed_ = false;  // this host has more ranks than cores
  bool announced_ = false;       // the transport announces what arrives
  // Set once close() has been called; fulfilled when that may return.
  std::unique_ptr<std::promise<void>> closing_;
  double closing_since_ = 0.0;

  std::thread thread_;
};

}  // namespace headwater::comm
