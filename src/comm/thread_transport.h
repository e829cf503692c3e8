#pragma once
// The transport of ranks that are threads of one process: every rank has a mailbox, and a receive copies
// straight from the sender's memory.
//
// A send ends when its message has been received, never before, so that code which works only thanks to MPI's
// buffers hangs here. Between hosts of a ThreadNetwork a message can be received only when the links have
// carried it.

#include "throttled_network.h"
#include "transport.h"

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

namespace headwater::comm {

// Memory that the transports of one thread world share. Each mailbox has its own lock.
struct Mailboxes {
  struct Message {
    const void* data;  // the sender's memory
    std::size_t bytes;
    double arrives;                            // now_seconds() from which on it can be received
    std::shared_ptr<std::atomic<bool>> taken;  // set once it has been copied
  };
  struct Sender {
    int rank, channel;
    auto operator<=>(const Sender&) const = default;
  };
  struct Mailbox {
    std::mutex mutex;
    std::map<Sender, std::deque<Message>> messages;              // oldest first
    std::deque<std::pair<int, std::vector<std::byte>>> control;  // (sender, control message), oldest first
    std::function<void()> wake;  // of the engine whose mailbox it is; may be empty

    // The caller holds the lock, so that the engine lives.
    void tell_engine() const {
      if (wake) wake();
    }
  };

  Mailboxes(int ranks, const ThreadNetwork& throttled)
      : by_rank(static_cast<std::size_t>(ranks)), network(throttled, ranks) {}

  std::vector<Mailbox> by_rank;
  ThrottledNetwork network;
};

std::unique_ptr<Transport> make_thread_transport(std::shared_ptr<Mailboxes> mailboxes, int rank);

}  // namespace headwater::comm
