#include "nccl_link.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace emulation::nccl {

Link::~Link() { close(); }

void Link::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
  ended_ = true;
}

void Link::post(Key key, const Shape& shape) {
  if (socket_ < 0) {
    arrivals_[key].shape = shape;
  } else {
    queue({Message::shape, key.first, key.second, shape, 0, 0});
  }
}

void Link::post(Key key, Bytes bytes) {
  if (socket_ < 0) {
    arrivals_[key].bytes = std::move(bytes);
    return;
  }
  queue({Message::bytes, key.first, key.second, {}, bytes.data.size(), bytes.written.size()});
  if (!bytes.data.empty()) outgoing_.push_back(std::move(bytes.data));
  if (!bytes.written.empty()) outgoing_.push_back(std::move(bytes.written));
}

void Link::say_goodbye() {
  if (socket_ >= 0) queue({Message::goodbye, Side::everyone, 0, {}, 0, 0});
}

void Link::queue(const Frame& frame) {
  std::vector<unsigned char> bytes(sizeof frame);
  std::memcpy(bytes.data(), &frame, sizeof frame);
  outgoing_.push_back(std::move(bytes));
}

void Link::move() {
  if (socket_ < 0) return;
  receive_some();
  send_some();
}

void Link::send_some() {
  while (!outgoing_.empty() && !ended_) {
    const auto& first = outgoing_.front();
    const ssize_t count =
        send(socket_, first.data() + sent_, first.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) {
      if (errno == EINTR) continue;
      return;  // for now; where the other end is gone, what it said last will be received, and then the end
    }
    sent_ += static_cast<std::size_t>(count);
    if (sent_ < first.size()) continue;
    outgoing_.pop_front();
    sent_ = 0;
  }
}

void Link::receive_some() {
  while (!ended_) {
    const std::span<unsigned char> space = wanted();
    if (space.empty()) {
      file();
      continue;
    }
    const ssize_t count = recv(socket_, space.data(), space.size(), MSG_DONTWAIT);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) lost_ = ended_ = true;
      return;
    }
    if (count == 0) lost_ = ended_ = true;
    got_ += static_cast<std::size_t>(count);
  }
}

std::span<unsigned char> Link::wanted() {
  std::size_t at = got_;
  if (at < sizeof frame_) return {reinterpret_cast<unsigned char*>(&frame_) + at, sizeof frame_ - at};
  at -= sizeof frame_;
  if (at == 0) coming_.data.resize(frame_.bytes), coming_.written.resize(frame_.written);
  if (at < coming_.data.size()) return std::span(coming_.data).subspan(at);
  return std::span(coming_.written).subspan(at - coming_.data.size());
}

void Link::file() {
  const Key key{frame_.side, frame_.number};
  switch (frame_.message) {
    case Message::shape: arrivals_[key].shape = frame_.shape; break;
    case Message::bytes: arrivals_[key].bytes = std::move(coming_); break;
    case Message::goodbye: ended_ = true; break;
  }
  coming_ = {};
  got_ = 0;
}

const Shape* Link::shape_from_peer(Key key) const {
  const auto found = arrivals_.find(key);
  return found != arrivals_.end() && found->second.shape ? &*found->second.shape : nullptr;
}

const Bytes* Link::bytes_from_peer(Key key) const {
  const auto found = arrivals_.find(key);
  return found != arrivals_.end() && found->second.bytes ? &*found->second.bytes : nullptr;
}

Bytes Link::take(Key key) {
  const auto found = arrivals_.find(key);
  if (found == arrivals_.end()) return {};
  Bytes bytes = found->second.bytes ? std::move(*found->second.bytes) : Bytes{};
  arrivals_.erase(found);
  return bytes;
}

}  // namespace emulation::nccl
