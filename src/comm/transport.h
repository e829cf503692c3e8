#pragma once
// How bytes get from one rank to another: the little that the engine asks of MPI, or of mailboxes between
// threads.
//
// Nothing here blocks. Messages of one pair of ranks on one channel arrive in the order sent, and a receive
// states the exact size of its message. Made, used and destroyed by the engine's thread only, unless said.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace headwater::comm {

class Transport {
 public:
  using Request = std::size_t;

  virtual ~Transport() = default;

  virtual int rank() const = 0;
  virtual const std::vector<std::string>& hosts() const = 0;  // by rank
  virtual int local_rank() const = 0;                         // among the ranks of this host
  virtual int local_size() const = 0;

  Request send(const void* data, std::size_t bytes, int peer, int channel) {
    sent_bytes_ += static_cast<std::int64_t>(bytes);
    return post_send(data, bytes, peer, channel);
  }
  virtual Request receive(void* data, std::size_t bytes, int peer, int channel) = 0;
  // Once true the request is forgotten.
  bool test(Request request) {
    const bool done = finished(request);
    completions_ += done ? 1 : 0;
    return done;
  }
  std::uint64_t completions() const { return completions_; }
  std::int64_t sent_bytes() const { return sent_bytes_; }  // as data; any thread may ask

  // Small messages beside the data, which every engine answers whatever its compute thread does.
  virtual void send_control(int peer, std::span<const std::byte> message) = 0;
  virtual bool receive_control(int& peer, std::vector<std::byte>& message) = 0;

  // Lets go of the memory of all requests under way, after a failure. False where that cannot be: some of it
  // may be read or written as long as the transport is called.
  virtual bool abandon() = 0;
  // Ends a good run; every rank calls it.
  virtual void close() = 0;

 private:
  virtual Request post_send(const void* data, std::size_t bytes, int peer, int channel) = 0;
  virtual bool finished(Request request) = 0;

  std::uint64_t completions_ = 0;
  std::atomic<std::int64_t> sent_bytes_ = 0;
};

}  // namespace headwater::comm
