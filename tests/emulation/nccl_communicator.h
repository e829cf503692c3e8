#pragma once
// A communicator is one queue of calls, in the order in which the program made them, whatever streams they
// are on; those of a group are one entry, and go on side by side. An entry begins when the ones before it are
// over and when each of its streams has come to it. Under the StreamLock, but for state().

#include "nccl_exchange.h"
#include "stream.h"

#include <algorithm>
#include <atomic>
#include <set>

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
  Communicator(Rank rank, int blocks) : rank_(std::move(rank)), blocks_(blocks) {}

  const Rank& at() const { return rank_; }
  // of the device's multiprocessors, the most that its kernels may take
  int blocks() const { return blocks_; }
  bool aborted() const { return aborted_; }
  ncclResult_t state() const { return state_; }  // any thread

  // The first message of a pair in a direction makes the host wait until the peer's comes too, as the
  // library's does while it connects them. Of the calls of a group all are told the peers before any is
  // waited for.
  void begin_to_connect(const Call& call);
  void connect(const Call& call, StreamLock& lock);
  void launch(std::vector<std::pair<Call, Stream*>> calls);
  bool busy() const { return !entries_.empty(); }
  bool asked() const;  // a peer has come to one of the calls
  // runs one work that the first of them waits for; false where nothing can run
  bool go_on();
  void move();                    // data, and news of the peers
  void finish(StreamLock& lock);  // waits for all calls, and takes leave of the peers
  void abort();                   // all calls are over, with results that are nothing

 private:
  bool poll(Entry& entry, std::size_t stream);  // by a stream whose next work it is; true when it is over
  void advance();

  Rank rank_;
  int blocks_;
  std::deque<std::shared_ptr<Entry>> entries_;
  std::uint64_t collectives_ = 0;
  std::map<int, std::uint64_t> sent_, received_;  // messages, by peer
  std::set<std::pair<Side, int>> connected_;      // the side that this rank is on, and the peer
  bool aborted_ = false;
  std::atomic<ncclResult_t> state_ = ncclSuccess;
};

}  // namespace emulation::nccl
