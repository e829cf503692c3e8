#pragma once
// The connection of one rank of a communicator with another: messages in order over a Unix-domain socket that
// nobody waits for. Under the StreamLock, like all that a communicator has.

#include "nccl.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace emulation::nccl {

// What ranks must agree on before any data moves. Without padding: it travels as bytes.
struct Shape {
  enum class Kind : std::int32_t { all_reduce, reduce_scatter, all_gather, broadcast, message } kind;
  std::int32_t type, op, root;  // op and root 0 where there is none
  std::uint64_t count;
  bool operator==(const Shape&) const = default;
};

// Bytes of a device's memory, and which of them somebody had written; `written` is empty where all had been.
struct Bytes {
  std::vector<unsigned char> data;
  std::vector<std::uint8_t> written;
};

// A call as the two ends name it: on which side of it the one stands who posts, and its number among those of
// that side between the two.
enum class Side : std::int32_t { everyone, sender, receiver };
using Key = std::pair<Side, std::uint64_t>;

class Link {
 public:
  explicit Link(int socket) : socket_(socket) {}  // owns it; -1: of a rank with itself
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void post(Key key, const Shape& shape);  // "my part of the call has begun"
  void post(Key key, Bytes bytes);         // its data
  void say_goodbye();                      // the socket will close, and that is well
  void close();                            // without a word, if there was none

  void move();  // whatever the socket takes and has
  bool drained() const { return outgoing_.empty(); }
  bool ended() const { return ended_; }  // the other end is gone
  bool lost() const { return lost_; }    // and said no goodbye

  const Shape* shape_from_peer(Key key) const;  // null: it has not come to this call
  const Bytes* bytes_from_peer(Key key) const;
  Bytes take(Key key);  // the bytes, if there were any, and forgets the call

 private:
  enum class Message : std::int32_t { shape, bytes, goodbye };
  struct Frame {
    Message message;
    Side side;
    std::uint64_t number;
    Shape shape;
    std::uint64_t bytes, written;
  };
  struct Arrival {
    std::optional<Shape> shape;
    std::optional<Bytes> bytes;
  };

  void queue(const Frame& frame);
  void send_some();
  void receive_some();
  std::span<unsigned char> wanted();  // where the rest of the message that is coming in belongs
  void file();                        // the message, now complete

  int socket_;
  bool lost_ = false, ended_ = false;
  std::deque<std::vector<unsigned char>> outgoing_;
  std::size_t sent_ = 0;  // of the first
  Frame frame_{};
  Bytes coming_;
  std::size_t got_ = 0;  // of the message: its frame, its data, what is written of it
  std::map<Key, Arrival> arrivals_;
};

}  // namespace emulation::nccl
