#include "nccl_bootstrap.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <thread>

namespace emulation::nccl {
namespace {

constexpr char kMark[] = "headwater-nccl-";

struct Hello {
  std::int32_t rank, size, device;
};

struct Address {
  sockaddr_un where{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&where); }
};

Address address_of(const ncclUniqueId& id, int rank) {
  const auto end = std::find(std::begin(id.internal), std::end(id.internal), '\0');
  const std::string name(std::begin(id.internal), end);
  if (end == std::end(id.internal) || name.compare(0, sizeof kMark - 1, kMark) != 0)
    throw Failure{ncclInvalidArgument, "is given an id that ncclGetUniqueId has not made"};
  const std::string text = name + "-" + std::to_string(rank);
  Address address;
  address.where.sun_family = AF_UNIX;
  if (text.size() + 1 > sizeof address.where.sun_path)
    throw Failure{ncclInvalidArgument, "is given an id too long"};
  std::copy(text.begin(), text.end(), address.where.sun_path + 1);  // after a zero: abstract
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  return address;
}

[[noreturn]] void fail(const char* call) {
  throw Failure{ncclSystemError,
                std::string("cannot reach its peers: ") + call + ": " + std::strerror(errno)};
}

class Socket {
 public:
  explicit Socket(int number) : number_(number) {
    if (number < 0) fail("socket");
  }
  Socket() : Socket(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  Socket(Socket&& other) noexcept : number_(other.release()) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (number_ >= 0) close(number_);
  }
  int get() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

void say(const Socket& socket, const Hello& hello) {
  if (send(socket.get(), &hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello) fail("send");
}

Hello hear(const Socket& socket) {
  Hello hello{};
  if (recv(socket.get(), &hello, sizeof hello, MSG_WAITALL) != sizeof hello)
    throw Failure{ncclRemoteError, "lost a peer before all had come"};
  return hello;
}

Socket listen_at(const Address& address) {
  Socket socket;
  if (bind(socket.get(), address.get(), address.length) != 0) {
    if (errno == EADDRINUSE) throw Failure{ncclInvalidUsage, "is given an id and a rank that are in use"};
    fail("bind");
  }
  if (listen(socket.get(), SOMAXCONN) != 0) fail("listen");
  return socket;
}

Socket call_on(const Address& address) {
  for (;;) {
    Socket socket;
    if (connect(socket.get(), address.get(), address.length) == 0) return socket;
    if (errno != ECONNREFUSED && errno != EAGAIN && errno != EINTR) fail("connect");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // it has not come yet
  }
}

}  // namespace

ncclUniqueId random_id() {
  std::random_device random;
  ncclUniqueId id{};
  std::snprintf(id.internal, sizeof id.internal, "%s%08x%08x%08x%08x", kMark, random(), random(), random(),
                random());
  return id;
}

Rank meet(const ncclUniqueId& id, int rank, int size, int device) {
  const Hello own{rank, size, device};
  const Socket listening = listen_at(address_of(id, rank));
  std::vector<Socket> sockets;
  for (int lower = 0; lower < rank; ++lower) {
    sockets.push_back(call_on(address_of(id, lower)));
    say(sockets.back(), own);
  }
  while (static_cast<int>(sockets.size()) < size - 1) {
    const int number = accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (number < 0 && errno == EINTR) continue;
    if (number < 0) fail("accept");
    sockets.emplace_back(number);
    say(sockets.back(), own);
  }

  Rank met{rank, device, {}};
  met.links.resize(static_cast<std::size_t>(size));
  met.links[static_cast<std::size_t>(rank)] = std::make_unique<Link>(-1);
  std::vector<Hello> all{own};
  for (Socket& socket : sockets) {
    const Hello peer = hear(socket);
    if (peer.size != size)
      throw Failure{ncclInvalidArgument, "is of " + std::to_string(size) + " ranks, and rank " +
                                             std::to_string(peer.rank) + " says " +
                                             std::to_string(peer.size)};
    all.push_back(peer);
    met.links[static_cast<std::size_t>(peer.rank)] = std::make_unique<Link>(socket.release());
  }
  for (const Hello& one : all) {
    for (const Hello& other : all) {
      if (one.rank < other.rank && one.device == other.device)
        throw Failure{ncclInvalidUsage, "has ranks " + std::to_string(one.rank) + " and " +
                                            std::to_string(other.rank) + " both on device " +
                                            std::to_string(one.device)};
    }
  }
  return met;
}

}  // namespace emulation::nccl
