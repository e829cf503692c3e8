#pragma once
// How bytes get from one rank to another: the few calls that the progress engine needs of MPI, or of
// mailboxes between threads.
//
// Nothing here blocks. Messages of one ordered pair of ranks on one channel arrive in the order in which they
// were sent, and a receive states the exact size of its message. The engine's thread makes the transport,
// calls it and destroys it; what other threads may call says so.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace headwater::comm {

class Transport {
 public:
  using Request = std::size_t;

  virtual ~Transport() = default;

  virtual int rank() const = 0;
  virtual const std::vector<std::string>& hosts() const = 0;  // names of the hosts, by rank
  virtual int local_rank() const = 0;  // this rank's number among the ranks of its host
  virtual int local_size() const = 0;  // how many ranks its host has

  // Memory handed to send and receive must stay until test() is true for the request, or abandon() is.
  Request send(const void* data, std::size_t bytes, int peer, int channel) {
    sent_bytes_ += static_cast<std::int64_t>(bytes);
    return post_send(data, bytes, peer, channel);
  }
  virtual Request receive(void* data, std::size_t bytes, int peer, int channel) = 0;
  // True once the message has left or arrived. The request must not be used after that.
  bool test(Request request) {
    const bool done = finished(request);
    completions_ += done ? 1 : 0;
    return done;
  }
  std::uint64_t completions() const { return completions_; }  // requests that test() has found done
  std::int64_t sent_bytes() const { return sent_bytes_; }     // control messages excepted; any thread may ask

  // Control messages are small and travel beside the data: every engine reads them, whatever its compute
  // thread does. receive_control returns false if there is none, and otherwise sets `peer` and `message`.
  virtual void send_control(int peer, std::span<const std::byte> message) = 0;
  virtual bool receive_control(int& peer, std::vector<std::byte>& message) = 0;

  // Has `wake` called, by any thread, whenever a message of this rank has come or has been taken. Returns
  // false, and calls nothing, where the transport does not learn of it but from test() and receive_control():
  // the engine polls there.
  virtual bool announce_to(std::function<void()> /*wake*/) { return false; }

  // Drops all requests under way, after a failure. Returns false if some of their memory may still be read or
  // written whenever the transport is called.
  virtual bool abandon() = 0;
  // Ends a good run. Every rank calls it.
  virtual void close() = 0;

 private:
  virtual Request post_send(const void* data, std::size_t bytes, int peer, int channel) = 0;
  virtual bool finished(Request request) = 0;

  std::uint64_t completions_ = 0;
  std::atomic<std::int64_t> sent_bytes_ = 0;
};

}  // namespace headwater::comm
