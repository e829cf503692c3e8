#include "nccl_communicator.h"

#include "fault.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace emulation::nccl {

namespace {

// What the two sides of a connection tell each other goes by the number of a call that never comes.
Key connecting(Side side) { return {side, ~std::uint64_t{0}}; }

Side side_of(const Call& call) { return call.send != nullptr ? Side::sender : Side::receiver; }

void sleep_without(StreamLock& lock) {
  lock.unlock();
  std::this_thread::sleep_for(std::chrono::microseconds(50));
  lock.lock();
}

}  // namespace

void Communicator::begin_to_connect(const Call& call) {
  if (call.shape.kind != Shape::Kind::message || call.peer == rank_.rank) return;
  if (connected_.contains({side_of(call), call.peer})) return;
  rank_.links[static_cast<std::size_t>(call.peer)]->post(connecting(side_of(call)), call.shape);
}

void Communicator::connect(const Call& call, StreamLock& lock) {
  if (call.shape.kind != Shape::Kind::message || call.peer == rank_.rank) return;
  if (!connected_.insert({side_of(call), call.peer}).second) return;
  Link& link = *rank_.links[static_cast<std::size_t>(call.peer)];
  const Key theirs = connecting(side_of(call) == Side::sender ? Side::receiver : Side::sender);
  for (move(); link.shape_from_peer(theirs) == nullptr && !link.ended() && !aborted_; move())
    sleep_without(lock);
  link.take(theirs);
}

void Communicator::launch(std::vector<std::pair<Call, Stream*>> calls) {
  const auto entry = std::make_shared<Entry>();
  for (auto& [call, stream] : calls) {
    if (std::find(entry->streams.begin(), entry->streams.end(), stream) == entry->streams.end())
      entry->streams.push_back(stream);
    std::uint64_t& number = call.shape.kind != Shape::Kind::message ? collectives_
                            : call.send != nullptr                  ? sent_[call.peer]
                                                                    : received_[call.peer];
    entry->calls.emplace_back(std::move(call), rank_, number++);
  }
  entry->reached.resize(entry->streams.size());
  entries_.push_back(entry);
  for (std::size_t i = 0; i < entry->streams.size(); ++i) {
    Work work;
    work.ready = [self = shared_from_this(), entry, i] { return self->poll(*entry, i); };
    enqueue(entry->streams[i], std::move(work));
  }
}

bool Communicator::poll(Entry& entry, std::size_t stream) {
  entry.reached[stream] = true;
  if (!entry.over && !aborted_ && !faulty()) advance();
  if (faulty()) abort();  // such a device does nothing more
  if (aborted_ && !entry.over) {
    for (Exchange& call : entry.calls) call.spoil();
    entry.over = true;
  }
  return entry.over;
}

void Communicator::advance() {
  move();
  while (!entries_.empty()) {
    const auto first = entries_.front();
    if (!first->begins()) {
      go_on();  // which comes back here where the streams have come to it
      if (aborted_ || (!first->over && !first->begins())) return;
      continue;
    }
    bool over = true;
    for (Exchange& call : first->calls) over = call.advance() && over;
    if (!over || faulty()) return;
    first->over = true;
    entries_.pop_front();
  }
}

bool Communicator::asked() const {
  return std::any_of(entries_.begin(), entries_.end(), [](const auto& entry) {
    return std::any_of(entry->calls.begin(), entry->calls.end(),
                       [](const Exchange& call) { return call.asked(); });
  });
}

bool Communicator::go_on() {
  if (entries_.empty()) return false;
  const auto first = entries_.front();
  if (first->begins()) return run_one(first->streams.front());
  bool any = false;
  for (std::size_t i = 0; i < first->streams.size(); ++i)
    if (!first->reached[i]) any = run_one(first->streams[i]) || any;
  return any;
}

void Communicator::move() {
  for (const auto& link : rank_.links) {
    link->move();
    if (link->lost()) state_ = ncclRemoteError;
  }
}

void Communicator::finish(StreamLock& lock) {
  while (!entries_.empty()) {
    const auto first = entries_.front();
    run_until(
        first->streams.front(), [&] { return first->over || aborted_; }, lock);
  }
  for (const auto& link : rank_.links) link->say_goodbye();
  for (const auto& link : rank_.links) {
    for (link->move(); !link->drained() && !link->ended(); link->move()) sleep_without(lock);
    link->close();
  }
}

void Communicator::abort() {
  aborted_ = true;
  entries_.clear();
  for (const auto& link : rank_.links) link->close();
}

}  // namespace emulation::nccl
