#include "thread_transport.h"

#include "distributed_world.h"

#include "headwater/base/clock.h"

#include <algorithm>
#include <cstring>

namespace headwater::comm {
namespace {

class ThreadTransport final : public Transport {
 public:
  ThreadTransport(std::shared_ptr<Mailboxes> mailboxes, int rank)
      : mailboxes_(std::move(mailboxes)), rank_(rank), hosts_(mailboxes_->by_rank.size(), host_name()) {
    for (std::size_t other = 0; other < hosts_.size(); ++other)
      if (const int host = mailboxes_->network.host_of(static_cast<int>(other)); host > 0)
        hosts_[other] = fmt::format("{}-{}", hosts_[other], host);
  }
  ~ThreadTransport() override {
    abandon();
    const std::lock_guard lock(box(rank_).mutex);
    box(rank_).wake = nullptr;
  }

  int rank() const override { return rank_; }
  const std::vector<std::string>& hosts() const override { return hosts_; }
  int local_rank() const override {
    return static_cast<int>(
        std::count(hosts_.begin(), hosts_.begin() + rank_, hosts_[static_cast<std::size_t>(rank_)]));
  }
  int local_size() const override {
    return static_cast<int>(
        std::count(hosts_.begin(), hosts_.end(), hosts_[static_cast<std::size_t>(rank_)]));
  }

  Request receive(void* data, std::size_t bytes, int peer, int channel) override {
    Counter& counter = counters_[{peer, channel}];
    receives_[++requests_] = {data, bytes, {peer, channel}, counter.posted++};
    return requests_;
  }

  void send_control(int peer, std::span<const std::byte> message) override {
    const std::lock_guard lock(box(peer).mutex);
    box(peer).control.emplace_back(rank_, std::vector(message.begin(), message.end()));
    box(peer).tell_engine();
  }

  bool receive_control(int& peer, std::vector<std::byte>& message) override {
    const std::lock_guard lock(box(rank_).mutex);
    auto& control = box(rank_).control;
    if (control.empty()) return false;
    std::tie(peer, message) = std::move(control.front());
    control.pop_front();
    return true;
  }

  // Not over links that carry a message for a while: nobody is there to say when it arrives.
  bool announce_to(std::function<void()> wake) override {
    if (!mailboxes_->network.at_once()) return false;
    const std::lock_guard lock(box(rank_).mutex);
    box(rank_).wake = std::move(wake);
    return true;
  }

  bool abandon() override {
    for (const auto& [request, outgoing] : sends_) {
      const std::lock_guard lock(box(outgoing.peer).mutex);
      box(outgoing.peer).messages.erase({rank_, outgoing.channel});
    }
    sends_.clear();
    receives_.clear();
    return true;
  }

  void close() override {}

 private:
  struct Outgoing {
    std::shared_ptr<std::atomic<bool>> taken;
    int peer, channel;
  };
  struct Incoming {
    void* data;
    std::size_t bytes;
    Mailboxes::Sender from;
    std::uint64_t turn;  // its number among the receives from that sender, from 0
  };
  struct Counter {
    std::uint64_t posted = 0, received = 0;
  };

  Request post_send(const void* data, std::size_t bytes, int peer, int channel) override {
    auto taken = std::make_shared<std::atomic<bool>>(false);
    Mailboxes::Mailbox& mailbox = box(peer);
    const double arrives = mailboxes_->network.arrival(rank_, peer, bytes, now_seconds());
    {
      const std::lock_guard lock(mailbox.mutex);
      mailbox.messages[{rank_, channel}].push_back({data, bytes, arrives, taken});
      mailbox.tell_engine();
    }
    sends_[++requests_] = {std::move(taken), peer, channel};
    return requests_;
  }

  bool finished(Request request) override {
    if (const auto send = sends_.find(request); send != sends_.end()) {
      if (!send->second.taken->load(std::memory_order_acquire)) return false;
      sends_.erase(send);
      return true;
    }
    const auto receive = receives_.find(request);
    HW_CHECK(receive != receives_.end(), "request {} is not under way", request);
    const int sender = receive->second.from.rank;
    if (!take(receive->second)) return false;
    receives_.erase(receive);
    const std::lock_guard lock(box(sender).mutex);
    box(sender).tell_engine();
    return true;
  }

  // Copies the message, if it has arrived and no earlier receive waits for one of that sender. It does so
  // under the mailbox's lock, so that no memory of a sender is read after the sender's abandon().
  bool take(const Incoming& incoming) {
    Counter& counter = counters_[incoming.from];
    if (counter.received != incoming.turn) return false;
    const std::lock_guard lock(box(rank_).mutex);
    auto& messages = box(rank_).messages[incoming.from];
    if (messages.empty()) return false;
    const Mailboxes::Message& message = messages.front();
    if (message.arrives > now_seconds()) return false;
    HW_CHECK(message.bytes == incoming.bytes, "rank {} sent {} bytes where rank {} expects {}",
             incoming.from.rank, message.bytes, rank_, incoming.bytes);
    std::memcpy(incoming.data, message.data, message.bytes);
    message.taken->store(true, std::memory_order_release);
    messages.pop_front();
    ++counter.received;
    return true;
  }

  Mailboxes::Mailbox& box(int rank) { return mailboxes_->by_rank[static_cast<std::size_t>(rank)]; }

  std::shared_ptr<Mailboxes> mailboxes_;
  int rank_;
  std::vector<std::string> hosts_;
  Request requests_ = 0;
  std::map<Request, Outgoing> sends_;
  std::map<Request, Incoming> receives_;
  std::map<Mailboxes::Sender, Counter> counters_;
};

}  // namespace

std::unique_ptr<Transport> make_thread_transport(std::shared_ptr<Mailboxes> mailboxes, int rank) {
  return std::make_unique<ThreadTransport>(std::move(mailboxes), rank);
}

}  // namespace headwater::comm
