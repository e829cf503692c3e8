#pragma once
// The communication thread of one rank: it opens the transport, makes all its calls, runs the operations by
// looking in on them, answers the other engines, and watches how long anybody waits.
//
// Public members may be called by any thread of the rank. Whatever they ask is put in the inbox and done by
// the thread.

#include "control.h"
#include "inquiry.h"
#include "last_words.h"

#include "headwater/comm/flight_recorder.h"

#include <future>
#include <thread>

namespace headwater::comm {

class Engine {
 public:
  using Open = std::function<std::unique_ptr<Transport>()>;

  // Waits until `open` has made the transport, in the engine's thread; throws what it throws. With `end_job`
  // (called in the engine's thread) a failure ends the job on all ranks; without, it only makes every wait
  // throw.
  explicit Engine(const Open& open, LastWords::EndJob end_job = {});
  ~Engine();  // without close(): lets go of what is under way
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  int rank() const { return rank_; }
  int size() const { return static_cast<int>(hosts_.size()); }
  const std::vector<std::string>& hosts() const { return hosts_; }
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }
  FlightRecorder& recorder() { return recorder_; }
  const FlightRecorder& recorder() const { return recorder_; }
  const std::shared_ptr<WaitBoard>& board() const { return board_; }
  std::int64_t sent_bytes() const { return transport_->sent_bytes(); }  // before close()

  void add(const std::shared_ptr<Group>& group);
  // Numbers and records the call, and runs its steps once `after` is done and the calls of its lane before it
  // have ended.
  std::shared_ptr<Operation> submit(Call call, Steps steps, Event after);
  void set_timeout(double seconds) { timeout_ = seconds; }
  bool broken() const { return broken_; }
  void check() const;  // throws what broke it
  bool peers_alive(double seconds);
  bool abandon();                  // World::abandon
  void announce(Failure failure);  // this rank has failed
  void close();                    // waits until what is under way has ended, then closes the transport

 private:
  void post(std::function<void()> command);
  void main(const Open& open, LastWords::EndJob end_job, std::promise<void>& opened);
  bool run_commands();
  bool run_lanes();
  bool run_lane(Lane& lane, bool& moved);
  bool serve_control();
  void heard(int from, const Control& message);
  void answer(int asker, const Control& question);
  void tell_all(const Control& message);
  void ask(std::optional<Call> call, double seconds, Inquiry::Conclude conclude);
  void look_at_the_clock();
  std::shared_ptr<Operation> overdue(double now, double limit) const;
  void diagnose(const Call& call, double limit);
  void lose(const Failure& failure);
  bool calls_on_device() const;
  void speak_for_compute(double now);
  void rest(double now);

  int rank_ = 0, local_rank_ = 0, local_size_ = 0;
  std::vector<std::string> hosts_;
  FlightRecorder recorder_;
  std::shared_ptr<WaitBoard> board_ = std::make_shared<WaitBoard>();
  std::atomic<double> timeout_ = 600.0;
  std::atomic<bool> broken_ = false;

  std::mutex inbox_mutex_;
  std::condition_variable inbox_filled_;
  std::vector<std::function<void()>> inbox_;

  // From here on the engine's thread only.
  std::unique_ptr<Transport> transport_;
  std::vector<std::weak_ptr<Group>> groups_;
  std::vector<std::shared_ptr<Group>> kept_;  // whose memory the transport has not let go of
  std::vector<Lane*> lanes_;                  // that hold operations, which own the lane's group
  std::vector<Inquiry> inquiries_;
  std::uint64_t questions_ = 0;
  bool diagnosing_ = false, heard_failure_ = false;
  Failure failure_;  // written once, before broken_
  double broken_since_ = 0.0;
  bool announced_ = false;  // that this rank has failed
  std::unique_ptr<LastWords> last_words_;
  double last_moved_ = 0.0, last_look_ = 0.0, next_early_look_ = 0.0;
  bool running_ = true;
  bool crowded_ = false;  // more ranks on this host than cores
  std::unique_ptr<std::promise<void>> closing_;
  double closing_since_ = 0.0;

  std::thread thread_;
};

}  // namespace headwater::comm
