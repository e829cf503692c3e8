#include "progress_engine.h"

#include "headwater/base/clock.h"
#include "headwater/base/log.h"
#include "headwater/base/signals.h"

#include <algorithm>
#include <chrono>

namespace headwater::comm {
namespace {

// While operations are under way and nothing has moved for some time, which is called quiet here, the
// engine's thread
//   - polls again at once until kSpin of quiet,
//   - then yields its core until kYield,
//   - then sleeps an eighth of the quiet, at least kShortestNap and at most kLongestNap,
// since the compute threads need the cores. On an oversubscribed host it sleeps at once, for at least
// kOversubscribedNap: the rank that it waits for needs the core on which it would poll. Where it is told of
// all that can move, it sleeps until it is told, and wakes every kIdleNap to look at deadlines and, where
// control messages are not announced, to answer other engines. All are in seconds.
constexpr double kSpin = 10e-6;
constexpr double kYield = 50e-6;
constexpr double kShortestNap = 20e-6, kLongestNap = 200e-6;
constexpr double kOversubscribedNap = 150e-6;
constexpr double kIdleNap = 2e-3;

constexpr double kCheckInterval = 1e-3;    // between two checks of deadlines
constexpr double kAnswerSeconds = 1.0;     // a poll's deadline; a living engine answers in milliseconds
constexpr double kComputeWakes = 3.0;      // see report_for_compute_thread
constexpr double kPatienceAtSignal = 2.0;  // once a stop signal is pending, longer waits start a poll

Failure comm_failure(std::string message) { return {CommError::kExitCode, std::move(message)}; }

}  // namespace

ProgressEngine::ProgressEngine(const Open& open, FailureArbiter::EndJob end_job) {
  std::promise<void> promise;
  std::future<void> opened = promise.get_future();
  thread_ = std::thread([this, open, end_job, promise = std::move(promise)]() mutable {
    main(open, std::move(end_job), promise);
  });
  try {
    opened.get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

ProgressEngine::~ProgressEngine() {
  post([this] {
    fail_all(comm_failure("the communicator's world has ended"));
    running_ = false;
  });
  thread_.join();
}

void ProgressEngine::main(const Open& open, FailureArbiter::EndJob end_job, std::promise<void>& opened) {
  try {
    transport_ = open();
    rank_ = transport_->rank();
    hosts_ = transport_->hosts();
    local_rank_ = transport_->local_rank();
    local_size_ = transport_->local_size();
    oversubscribed_ = static_cast<unsigned>(local_size_) > std::thread::hardware_concurrency();
    announced_ = transport_->announce_to([this] {
      {
        const std::lock_guard lock(inbox_mutex_);
        arrived_ = true;
      }
      inbox_filled_.notify_one();
    });
    if (end_job) arbiter_ = std::make_unique<FailureArbiter>(rank_, std::move(end_job));
    opened.set_value();
  } catch (...) {
    opened.set_exception(std::current_exception());
    return;
  }
  while (running_) {
    try {
      const std::uint64_t completions = transport_->completions();
      bool moved = run_commands();
      moved = run_queues() || moved;
      moved = receive_control_messages() || moved;
      const double now = now_seconds();
      if (moved || transport_->completions() != completions) last_moved_ = now;
      if (now - last_check_ >= kCheckInterval) check_deadlines();
      if (running_) back_off(now);
    } catch (...) {
      fail_all(failure_of(std::current_exception()));
    }
  }
  transport_.reset();
}

void ProgressEngine::post(std::function<void()> command) {
  {
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(std::move(command));
  }
  inbox_filled_.notify_one();
}

bool ProgressEngine::run_commands() {
  std::vector<std::function<void()>> commands;
  {
    const std::lock_guard lock(inbox_mutex_);
    commands.swap(inbox_);
  }
  for (const auto& command : commands) {
    try {
      command();
    } catch (...) {  // the commands that follow must run: one may submit an operation that somebody waits for
      fail_all(failure_of(std::current_exception()));
    }
  }
  return !commands.empty();
}

void ProgressEngine::back_off(double now) {
  const double quiet = now - last_moved_;
  double nap = kIdleNap;
  if (is_told()) {
    if (quiet == 0.0) return;  // what has moved may have made room for more
  } else {
    if (!oversubscribed_ && quiet < kSpin) return;
    if (!oversubscribed_ && quiet < kYield) return std::this_thread::yield();
    nap = std::clamp(quiet / 8, oversubscribed_ ? kOversubscribedNap : kShortestNap, kLongestNap);
  }
  std::unique_lock lock(inbox_mutex_);
  inbox_filled_.wait_for(lock, std::chrono::duration<double>(nap),
                         [this] { return arrived_ || !inbox_.empty(); });
  arrived_ = false;
}

// Returns whether everything that can move comes to the inbox or is announced by the transport. Neither the
// event that an operation waits for before it starts nor what a device does by itself is.
bool ProgressEngine::is_told() const {
  return std::all_of(busy_queues_.begin(), busy_queues_.end(), [this](const CallQueue* queue) {
    const Operation& first = *queue->pending.front();
    return announced_ && first.started > 0.0 && !first.call().group->on_device();
  });
}

void ProgressEngine::add_group(const std::shared_ptr<Group>& group) {
  post([this, group] {
    std::erase_if(groups_, [](const auto& known) { return known.expired(); });
    groups_.push_back(group);
  });
}

void ProgressEngine::throw_if_broken() const {
  if (broken_) raise(failure_);
}

std::shared_ptr<Operation> ProgressEngine::submit(Call call, Steps steps, Event after) {
  call.sequence = ++call.queue().submitted;
  call.record = recorder_.queue(call.group->name, call.operation, call.sequence, call.bytes);
  const auto operation =
      std::make_shared<Operation>(waits_, std::move(call), std::move(steps), std::move(after));
  post([this, operation] {
    if (broken_) return operation->fail(failure_);
    CallQueue& queue = operation->call().queue();
    if (queue.pending.empty()) busy_queues_.push_back(&queue);
    queue.pending.push_back(operation);
  });
  return operation;
}

bool ProgressEngine::run_queues() {
  bool moved = false;
  for (std::size_t i = 0; i < busy_queues_.size();) {
    if (run_queue(*busy_queues_[i], moved))
      busy_queues_.erase(busy_queues_.begin() + static_cast<std::ptrdiff_t>(i));
    else
      ++i;
  }
  return moved;
}

// Runs the queue's first operation, and those after it as long as each ends at once. Returns whether the
// queue is empty then, and sets `moved` if an operation has started or ended.
bool ProgressEngine::run_queue(CallQueue& queue, bool& moved) {
  // Keeps the queue alive, which belongs to the group, when its last operation goes.
  const std::shared_ptr<Group> group = queue.pending.front()->call().group;
  while (!queue.pending.empty()) {
    const std::shared_ptr<Operation> operation = queue.pending.front();
    if (operation->started == 0.0) {
      if (!operation->ready()) return false;
      operation->started = now_seconds();
      recorder_.start(operation->call().record);
      moved = true;
    }
    if (!operation->run(*transport_)) return false;
    queue.pending.pop_front();
    recorder_.end(operation->call().record);
    operation->end();
    moved = true;
  }
  return true;
}

bool ProgressEngine::receive_control_messages() {
  bool moved = false;
  int from = 0;
  std::vector<std::byte> message;
  while (transport_->receive_control(from, message)) {
    handle(from, decode(message));
    moved = true;
  }
  return moved;
}

void ProgressEngine::handle(int from, const ControlMessage& message) {
  switch (message.subject) {
    case ControlMessage::Subject::question: return answer(from, message);
    case ControlMessage::Subject::answer:
      for (LivenessPoll& poll : polls_)
        if (poll.number() == message.question) poll.take_answer(from, message);
      return;
    case ControlMessage::Subject::failed:
      heard_failure_ = true;
      if (arbiter_) arbiter_->other_rank_failed(from, {message.exit_code, message.text}, now_seconds());
      return fail_all(comm_failure(fmt::format("rank {} failed: {}", from, message.text)));
    case ControlMessage::Subject::reporting:
      if (arbiter_) arbiter_->other_rank_reports(now_seconds());
      return;
  }
}

void ProgressEngine::answer(int asker, const ControlMessage& question) {
  ControlMessage reply{.subject = ControlMessage::Subject::answer, .question = question.question, .text = {}};
  reply.waits = broken_ || closing_ || waits_->anybody_waits();
  for (const auto& known : groups_) {
    const std::shared_ptr<Group> group = known.lock();
    if (!group) continue;
    const auto member = std::find(group->ranks.begin(), group->ranks.end(), asker) - group->ranks.begin();
    const auto index = static_cast<std::size_t>(member);
    if (index == group->ranks.size() || group->channels[index] != question.channel) continue;
    // A message that the asker receives is one that this rank sends.
    const CallQueue& queue = question.kind == CallKind::collective ? group->collectives
                             : question.kind == CallKind::receive  ? group->sends[index]
                                                                   : group->receives[index];
    reply.came = queue.submitted >= question.sequence;
    for (const std::shared_ptr<Operation>& operation : queue.pending)
      if (operation->call().sequence == question.sequence) reply.text = operation->call().content();
  }
  transport_->send_control(asker, encode(reply));
}

void ProgressEngine::send_to_all(const ControlMessage& message) {
  const std::vector<std::byte> bytes = encode(message);
  for (int rank = 0; rank < size(); ++rank)
    if (rank != rank_) transport_->send_control(rank, bytes);
}

void ProgressEngine::start_poll(std::optional<Call> call, double seconds, LivenessPoll::Conclude conclude) {
  polls_.emplace_back(++last_poll_, rank_, size(), std::move(call), now_seconds() + seconds,
                      std::move(conclude));
  for (int rank = 0; rank < size(); ++rank)
    if (rank != rank_) transport_->send_control(rank, encode(polls_.back().question_for(rank)));
}

bool ProgressEngine::peers_alive(double seconds) {
  if (broken_) return false;
  const auto answered = std::make_shared<std::promise<bool>>();
  post([this, seconds, answered] {
    start_poll({}, seconds,
               [answered](const LivenessPoll& poll) { answered->set_value(poll.all_answered()); });
  });
  return answered->get_future().get();
}

void ProgressEngine::check_deadlines() {
  const double now = last_check_ = now_seconds();
  for (std::size_t i = 0; i < polls_.size();) {
    if (!polls_[i].over(now)) {
      ++i;
      continue;
    }
    LivenessPoll poll = std::move(polls_[i]);
    polls_.erase(polls_.begin() + static_cast<std::ptrdiff_t>(i));
    poll.conclude();
  }
  if (closing_ && (broken_ || busy_queues_.empty())) {
    if (!broken_) transport_->close();
    running_ = false;
    return closing_->set_value();
  }
  if (!broken_ && !diagnosing_) {
    // When a rank has died, the launcher sends the others a stop signal. A compute thread that waits for the
    // dead rank does not look at signals, so this thread does, and asks early.
    const bool early = signals::pending() != 0 && now >= next_early_check_;
    const double limit = early ? std::min<double>(kPatienceAtSignal, timeout_) : timeout_.load();
    if (const auto operation = overdue(now, limit)) diagnose(operation->call(), limit);
  }
  if (!arbiter_) return;
  report_for_compute_thread(now);
  switch (arbiter_->next_action(now)) {
    case FailureArbiter::Action::wait: return;
    case FailureArbiter::Action::leave: return arbiter_->leave();
    case FailureArbiter::Action::report:
      send_to_all({.subject = ControlMessage::Subject::reporting, .text = {}});
      return arbiter_->report();
  }
}

// Announces this rank's failure for a compute thread that does not do it. Such a thread waits for its device
// and does not see that communication has failed, until the device's calls are aborted. If it does not wake
// within kComputeWakes even then, this thread announces the failure, which ends the job.
void ProgressEngine::report_for_compute_thread(double now) {
  if (!broken_ || announced_failure_ || !calls_on_device() || now < broken_since_ + kComputeWakes) return;
  announced_failure_ = true;
  if (!heard_failure_)
    send_to_all({.subject = ControlMessage::Subject::failed,
                 .exit_code = failure_.exit_code,
                 .text = failure_.message});
  arbiter_->this_rank_failed(failure_, now);
}

bool ProgressEngine::calls_on_device() const {
  return std::any_of(groups_.begin(), groups_.end(), [](const auto& known) {
    const std::shared_ptr<Group> group = known.lock();
    return group && group->on_device();
  });
}

// Returns the operation that has kept this rank waiting for longer than `limit` seconds, or null.
//
// A wait is one of three things: a thread in Operation::wait; close(), which waits for every operation; or a
// device, whose operations count as waited for from their start, since a device waits without telling
// anybody. If the operation that is waited for has not started, the oldest that has started is returned in
// its place: it precedes the other in its queue, or produces the event that the other needs. Null if what
// would be returned has started less than `limit` seconds ago.
std::shared_ptr<Operation> ProgressEngine::overdue(double now, double limit) const {
  std::shared_ptr<Operation> awaited = waits_->waited_for_since_before(now - limit);
  if (!awaited && closing_ && closing_since_ < now - limit) awaited = busy_queues_.front()->pending.front();
  for (const CallQueue* queue : busy_queues_) {
    const std::shared_ptr<Operation>& first = queue->pending.front();
    if (!awaited && first->call().group->on_device() && first->started > 0.0 && first->started < now - limit)
      awaited = first;
  }
  if (awaited && awaited->started == 0.0)
    for (const CallQueue* queue : busy_queues_) {
      const std::shared_ptr<Operation>& first = queue->pending.front();
      if (first->started > 0.0 && (awaited->started == 0.0 || first->started < awaited->started))
        awaited = first;
    }
  return awaited && awaited->started < now - limit ? awaited : nullptr;
}

void ProgressEngine::diagnose(const Call& call, double limit) {
  diagnosing_ = true;
  start_poll(call, kAnswerSeconds, [this, call, limit](const LivenessPoll& poll) {
    diagnosing_ = false;
    next_early_check_ = now_seconds() + kAnswerSeconds;
    // A poll before the deadline ends the run only if a rank does not answer.
    if (broken_ || (limit < timeout_ && poll.all_answered())) return;
    log::error("{} waited {:.1f} s. The last calls:\n{}", call.describe(), limit, recorder_.table());
    fail_all(comm_failure(
        fmt::format("{} waited {:.1f} s: {}", call.describe(), limit, poll.who_did_not_come(hosts_))));
  });
}

bool ProgressEngine::abandon() {
  std::promise<bool> ended;
  post([this, &ended] {
    fail_all(comm_failure(fmt::format("rank {} has let go of its transfers", rank_)));
    ended.set_value(transport_->abandon());
  });
  return ended.get_future().get();
}

void ProgressEngine::announce_failure(Failure failure) {
  post([this, failure = std::move(failure)] {
    // A rank that fails only because another has failed need not tell the others.
    if (!heard_failure_ || failure.exit_code != CommError::kExitCode)
      send_to_all({.subject = ControlMessage::Subject::failed,
                   .exit_code = failure.exit_code,
                   .text = failure.message});
    announced_failure_ = true;
    if (arbiter_) arbiter_->this_rank_failed(failure, now_seconds());
    fail_all(comm_failure(fmt::format("rank {} failed: {}", rank_, failure.message)));
  });
}

// Ends all communication: every operation fails, so that nobody waits for data that will not come. The first
// failure counts; later calls do nothing.
void ProgressEngine::fail_all(const Failure& failure) {
  if (broken_) return;
  failure_ = failure;
  broken_since_ = now_seconds();
  broken_ = true;
  const bool released = transport_->abandon();
  for (CallQueue* queue : std::exchange(busy_queues_, {})) {
    const auto pending = std::exchange(queue->pending, {});  // keeps the queue's group alive
    for (const auto& operation : pending) operation->fail(failure);
  }
  for (const auto& known : groups_)
    if (const std::shared_ptr<Group> group = known.lock()) {
      group->abandon();
      if (!released) unreleased_groups_.push_back(group);
    }
}

void ProgressEngine::close() {
  auto closed = std::make_unique<std::promise<void>>();
  std::future<void> over = closed->get_future();
  post([this, &closed] {
    closing_ = std::move(closed);
    closing_since_ = now_seconds();
  });
  over.get();
  if (broken_) raise(failure_);
}

}  // namespace headwater::comm
