#include "engine.h"

#include "headwater/base/clock.h"
#include "headwater/base/log.h"
#include "headwater/base/signals.h"

#include <algorithm>
#include <chrono>

namespace headwater::comm {
namespace {

// With work under way the thread looks in again at once for a while, then gives way to others, then naps for
// longer and longer: compute needs the cores. Where more ranks than cores share a host it naps at once, as
// what it waits for needs the core that it would look in on. Without work it wakes now and then to answer the
// other engines.
constexpr double kSpin = 10e-6;
constexpr double kYield = 50e-6;
constexpr double kShortestNap = 20e-6, kLongestNap = 200e-6;
constexpr double kCrowdedNap = 150e-6;
constexpr double kIdleNap = 2e-3;
constexpr double kLook = 1e-3;             // between looks at deadlines
constexpr double kAnswerSeconds = 1.0;     // a living engine answers in milliseconds
constexpr double kComputeWakes = 3.0;      // once the calls that it waits for are given up
constexpr double kPatienceAtSignal = 2.0;  // after which a wait asks for signs of life

}  // namespace

Engine::Engine(const Open& open, LastWords::EndJob end_job) {
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

Engine::~Engine() {
  post([this] {
    lose({4, "the communicator's world has ended"});
    running_ = false;
  });
  thread_.join();
}

void Engine::main(const Open& open, LastWords::EndJob end_job, std::promise<void>& opened) {
  try {
    transport_ = open();
    rank_ = transport_->rank();
    hosts_ = transport_->hosts();
    local_rank_ = transport_->local_rank();
    local_size_ = transport_->local_size();
    crowded_ = static_cast<unsigned>(local_size_) > std::thread::hardware_concurrency();
    if (end_job) last_words_ = std::make_unique<LastWords>(rank_, std::move(end_job));
    opened.set_value();
  } catch (...) {
    opened.set_exception(std::current_exception());
    return;
  }
  while (running_) {
    try {
      const std::uint64_t completions = transport_->completions();
      bool moved = run_commands();
      moved = run_lanes() || moved;
      moved = serve_control() || moved;
      const double now = now_seconds();
      if (moved || transport_->completions() != completions) last_moved_ = now;
      if (now - last_look_ >= kLook) look_at_the_clock();
      if (running_) rest(now);
    } catch (...) {
      lose(failure_of(std::current_exception()));
    }
  }
  transport_.reset();
}

void Engine::post(std::function<void()> command) {
  {
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(std::move(command));
  }
  inbox_filled_.notify_one();
}

bool Engine::run_commands() {
  std::vector<std::function<void()>> commands;
  {
    const std::lock_guard lock(inbox_mutex_);
    commands.swap(inbox_);
  }
  for (const auto& command : commands) {
    try {
      command();
    } catch (...) {  // the next one may hold an operation that somebody waits for
      lose(failure_of(std::current_exception()));
    }
  }
  return !commands.empty();
}

void Engine::rest(double now) {
  const double quiet = now - last_moved_;
  const bool busy = !lanes_.empty();
  if (busy && !crowded_ && quiet < kSpin) return;
  if (busy && !crowded_ && quiet < kYield) return std::this_thread::yield();
  const double shortest = crowded_ ? kCrowdedNap : kShortestNap;
  const double nap = busy ? std::clamp(quiet / 8, shortest, kLongestNap) : kIdleNap;
  std::unique_lock lock(inbox_mutex_);
  inbox_filled_.wait_for(lock, std::chrono::duration<double>(nap), [this] { return !inbox_.empty(); });
}

void Engine::add(const std::shared_ptr<Group>& group) {
  post([this, group] {
    std::erase_if(groups_, [](const auto& known) { return known.expired(); });
    groups_.push_back(group);
  });
}

void Engine::check() const {
  if (broken_) raise(failure_);
}

std::shared_ptr<Operation> Engine::submit(Call call, Steps steps, Event after) {
  call.sequence = ++call.lane().queued;
  call.record = recorder_.queue(call.group->name, call.operation, call.sequence, call.bytes);
  const auto operation =
      std::make_shared<Operation>(board_, std::move(call), std::move(steps), std::move(after));
  post([this, operation] {
    if (broken_) return operation->fail(failure_);
    Lane& lane = operation->call().lane();
    if (lane.waiting.empty()) lanes_.push_back(&lane);
    lane.waiting.push_back(operation);
  });
  return operation;
}

bool Engine::run_lanes() {
  bool moved = false;
  for (std::size_t i = 0; i < lanes_.size();) {
    if (run_lane(*lanes_[i], moved))
      lanes_.erase(lanes_.begin() + static_cast<std::ptrdiff_t>(i));
    else
      ++i;
  }
  return moved;
}

// Runs the lane's first operation, and the next ones as long as they end at once; true once it is empty.
bool Engine::run_lane(Lane& lane, bool& moved) {
  const std::shared_ptr<Group> group = lane.waiting.front()->call().group;  // owns the lane
  while (!lane.waiting.empty()) {
    const std::shared_ptr<Operation> operation = lane.waiting.front();
    if (operation->started == 0.0) {
      if (!operation->ready()) return false;
      operation->started = now_seconds();
      recorder_.start(operation->call().record);
      moved = true;
    }
    if (!operation->run(*transport_)) return false;
    lane.waiting.pop_front();
    recorder_.end(operation->call().record);
    operation->end();
    moved = true;
  }
  return true;
}

bool Engine::serve_control() {
  bool moved = false;
  int from = 0;
  std::vector<std::byte> message;
  while (transport_->receive_control(from, message)) {
    heard(from, decode(message));
    moved = true;
  }
  return moved;
}

void Engine::heard(int from, const Control& message) {
  switch (message.subject) {
    case Control::Subject::question: return answer(from, message);
    case Control::Subject::answer:
      for (Inquiry& inquiry : inquiries_)
        if (inquiry.number() == message.question) inquiry.take(from, message);
      return;
    case Control::Subject::failed:
      heard_failure_ = true;
      if (last_words_) last_words_->other_rank_failed(from, {message.exit_code, message.text}, now_seconds());
      // The reason has arrived; it is printed when others have had time to give theirs.
      if (last_words_ && rank_ == 0)
        transport_->send_control(from, encode({.subject = Control::Subject::speaking, .text = {}}));
      return lose({4, fmt::format("rank {} failed: {}", from, message.text)});
    case Control::Subject::speaking:
      if (last_words_) last_words_->other_rank_speaks(now_seconds());
      return;
  }
}

void Engine::answer(int asker, const Control& question) {
  Control reply{.subject = Control::Subject::answer, .question = question.question, .text = {}};
  reply.waits = broken_ || closing_ || board_->anybody_waits();
  for (const auto& known : groups_) {
    const std::shared_ptr<Group> group = known.lock();
    if (!group) continue;
    const auto member = std::find(group->ranks.begin(), group->ranks.end(), asker) - group->ranks.begin();
    const auto index = static_cast<std::size_t>(member);
    if (index == group->ranks.size() || group->channels[index] != question.channel) continue;
    // What the asker receives this rank sends.
    const Lane& lane = question.kind == CallKind::collective ? group->collectives
                       : question.kind == CallKind::receive  ? group->sends[index]
                                                             : group->receives[index];
    reply.came = lane.queued >= question.sequence;
    for (const std::shared_ptr<Operation>& operation : lane.waiting)
      if (operation->call().sequence == question.sequence) reply.text = operation->call().content();
  }
  transport_->send_control(asker, encode(reply));
}

void Engine::tell_all(const Control& message) {
  const std::vector<std::byte> bytes = encode(message);
  for (int rank = 0; rank < size(); ++rank)
    if (rank != rank_) transport_->send_control(rank, bytes);
}

void Engine::ask(std::optional<Call> call, double seconds, Inquiry::Conclude conclude) {
  inquiries_.emplace_back(++questions_, rank_, size(), std::move(call), now_seconds() + seconds,
                          std::move(conclude));
  for (int rank = 0; rank < size(); ++rank)
    if (rank != rank_) transport_->send_control(rank, encode(inquiries_.back().question_for(rank)));
}

bool Engine::peers_alive(double seconds) {
  if (broken_) return false;
  const auto answered = std::make_shared<std::promise<bool>>();
  post([this, seconds, answered] {
    ask({}, seconds, [answered](const Inquiry& inquiry) { answered->set_value(inquiry.all_answered()); });
  });
  return answered->get_future().get();
}

void Engine::look_at_the_clock() {
  const double now = last_look_ = now_seconds();
  for (std::size_t i = 0; i < inquiries_.size();) {
    if (!inquiries_[i].over(now)) {
      ++i;
      continue;
    }
    Inquiry inquiry = std::move(inquiries_[i]);
    inquiries_.erase(inquiries_.begin() + static_cast<std::ptrdiff_t>(i));
    inquiry.conclude();
  }
  if (closing_ && (broken_ || lanes_.empty())) {
    if (!broken_) transport_->close();
    running_ = false;
    return closing_->set_value();
  }
  if (!broken_ && !diagnosing_) {
    // Where a rank has died the launcher sends the others a stop signal, which who waits for the dead does
    // not get to see.
    const bool early = signals::pending() != 0 && now >= next_early_look_;
    const double limit = early ? std::min<double>(kPatienceAtSignal, timeout_) : timeout_.load();
    if (const auto operation = overdue(now, limit)) diagnose(operation->call(), limit);
  }
  if (!last_words_) return;
  speak_for_compute(now);
  switch (last_words_->turn(now)) {
    case LastWords::Turn::wait: return;
    case LastWords::Turn::leave: return last_words_->leave();
    case LastWords::Turn::speak:
      tell_all({.subject = Control::Subject::speaking, .text = {}});
      return last_words_->speak();
  }
}

// A compute thread that waits for a device does not see that all is over. When the calls there have been
// given up it does; where even that does not wake it, this thread ends the job.
void Engine::speak_for_compute(double now) {
  if (!broken_ || announced_ || !calls_on_device() || now < broken_since_ + kComputeWakes) return;
  announced_ = true;
  if (!heard_failure_)
    tell_all(
        {.subject = Control::Subject::failed, .exit_code = failure_.exit_code, .text = failure_.message});
  last_words_->this_rank_failed(failure_, now);
}

bool Engine::calls_on_device() const {
  return std::any_of(groups_.begin(), groups_.end(), [](const auto& known) {
    const std::shared_ptr<Group> group = known.lock();
    return group && group->on_device();
  });
}

// What has kept somebody waiting for longer than `limit`: the call waited for, where it has started; else the
// oldest that has, which it stands behind or whose event it needs. Closing waits for every call, and so does
// a device, which tells nobody.
std::shared_ptr<Operation> Engine::overdue(double now, double limit) const {
  std::shared_ptr<Operation> culprit = board_->waited_since_before(now - limit);
  if (!culprit && closing_ && closing_since_ < now - limit) culprit = lanes_.front()->waiting.front();
  for (const Lane* lane : lanes_) {
    const std::shared_ptr<Operation>& first = lane->waiting.front();
    if (!culprit && first->call().group->on_device() && first->started > 0.0 && first->started < now - limit)
      culprit = first;
  }
  if (culprit && culprit->started == 0.0)
    for (const Lane* lane : lanes_) {
      const std::shared_ptr<Operation>& first = lane->waiting.front();
      if (first->started > 0.0 && (culprit->started == 0.0 || first->started < culprit->started))
        culprit = first;
    }
  return culprit && culprit->started < now - limit ? culprit : nullptr;
}

void Engine::diagnose(const Call& call, double limit) {
  diagnosing_ = true;
  ask(call, kAnswerSeconds, [this, call, limit](const Inquiry& inquiry) {
    diagnosing_ = false;
    next_early_look_ = now_seconds() + kAnswerSeconds;
    if (broken_ || (limit < timeout_ && inquiry.all_answered())) return;  // all live: the deadline decides
    log::error("{} waited {:.1f} s. The last calls:\n{}", call.describe(), limit, recorder_.table());
    lose(
        {4, fmt::format("{} waited {:.1f} s: {}", call.describe(), limit, inquiry.who_did_not_come(hosts_))});
  });
}

bool Engine::abandon() {
  std::promise<bool> ended;
  post([this, &ended] {
    lose({4, fmt::format("rank {} has let go of its transfers", rank_)});
    ended.set_value(transport_->abandon());
  });
  return ended.get_future().get();
}

void Engine::announce(Failure failure) {
  post([this, failure = std::move(failure)] {
    // Whoever fails because another has need not tell.
    if (!heard_failure_ || failure.exit_code != 4)
      tell_all(
          {.subject = Control::Subject::failed, .exit_code = failure.exit_code, .text = failure.message});
    announced_ = true;
    if (last_words_) last_words_->this_rank_failed(failure, now_seconds());
    lose({4, fmt::format("rank {} failed: {}", rank_, failure.message)});
  });
}

// The end of all communication: nobody may wait for what will not come.
void Engine::lose(const Failure& failure) {
  if (broken_) return;
  failure_ = failure;
  broken_since_ = now_seconds();
  broken_ = true;
  const bool ended = transport_->abandon();
  for (Lane* lane : std::exchange(lanes_, {})) {
    const auto waiting = std::exchange(lane->waiting, {});  // owns the lane
    for (const auto& operation : waiting) operation->fail(failure);
  }
  for (const auto& known : groups_)
    if (const std::shared_ptr<Group> group = known.lock()) {
      group->abandon();
      if (!ended) kept_.push_back(group);
    }
}

void Engine::close() {
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
