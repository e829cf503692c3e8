#pragma once
// A communicator is one queue of calls, in the order in which the program made them, whatever streams they are on; those
// of a group are one entry, and go on side by side. An entry begins when the ones before it are over and when each of its
// streams has come to it. Under the StreamLock, but for state().

#include "nccl_exchange.h"
#include "stream.h"

#include <algorithm>
#include <atomic>

namespace emulation::nccl {

// The calls of a group on one communicator. Its work on each of its streams is over when all of it is.
struct Entry {
  std::deque<Exchange> calls;
  std::vector<Stream*> streams;
  std::vector<bool> reached;  // by stream
  bool over = false;
  bool begins() const { return std::find(reached.begin(), reached.end(), false) == reached.end(); }
};

class Communicator : public std::enable_shared_from_this<Communicator> {
 public:
  explicit Communicator(Rank rank) : rank_(std::move(rank)) {}

  const Rank& at() const { return rank_; }
  bool aborted() const { return aborted_; }
  ncclResult_t state() const { return state_; }  // any thread

  void launch(std::vector<std::pair<Call, Stream*>> calls);
  bool busy() const { return !entries_.empty(); }
  bool asked() const;             // a peer has come to one of the calls
  bool go_on();                   // runs one work that the first of them waits for; false where nothing can run
  void move();                    // data, and news of the peers
  void finish(StreamLock& lock);  // waits for all calls, and takes leave of the peers
  void abort();                   // all calls are over, with results that are nothing

 private:
  bool poll(Entry& entry, std::size_t stream);  // by a stream whose next work it is; true when it is over
  void advance();

  Rank rank_;
  std::deque<std::shared_ptr<Entry>> entries_;
  std::uint64_t collectives_ = 0;
  std::map<int, std::uint64_t> sent_, received_;  // messages, by peer
  bool aborted_ = false;
  std::atomic<ncclResult_t> state_ = ncclSuccess;
};

}  // namespace emulation::nccl
