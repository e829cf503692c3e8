#pragma once
// Ranks that are threads of one process: each has a mailbox, and a receive copies straight from the sender's
// memory. A send ends when it is received, never before, so code that works only thanks to MPI's buffers
// hangs here. Between hosts of a ThreadNetwork it is received when its link has carried it.

#include "limited_links.h"
#include "transport.h"

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

namespace headwater::comm {

// What the transports of one thread world share.
struct Post {
  struct Letter {
    const void* data;
    std::size_t bytes;
    double arrives;  // now_seconds()
    std::shared_ptr<std::atomic<bool>> taken;
  };
  struct Sender {
    int rank, channel;
    auto operator<=>(const Sender&) const = default;
  };
  struct Mailbox {
    std::mutex mutex;
    std::map<Sender, std::deque<Letter>> letters;
    std::deque<std::pair<int, std::vector<std::byte>>> control;
  };

  Post(int ranks, const ThreadNetwork& network)
      : mailboxes(static_cast<std::size_t>(ranks)), links(network, ranks) {}
  std::vector<Mailbox> mailboxes;
  LimitedLinks links;
};

std::unique_ptr<Transport> make_thread_transport(std::shared_ptr<Post> post, int rank);

}  // namespace headwater::comm
