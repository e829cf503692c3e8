#include "stream.h"

#include "emulation/settings.h"
#include "memory.h"
#include "runtime.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <thread>

namespace emulation {
namespace {

std::recursive_mutex mutex;
int holders = 0;  // of the lock, all by one thread

struct Streams {
  std::map<int, Stream> defaults;  // by device
  std::vector<std::unique_ptr<Stream>> made;
};
Streams& streams() {
  static Streams all;
  return all;
}

Stream* default_stream(int device) { return &streams().defaults.try_emplace(device, device).first->second; }

std::vector<Stream*> all_streams() {
  std::vector<Stream*> all;
  for (auto& [device, stream] : streams().defaults) all.push_back(&stream);
  for (const auto& stream : streams().made) all.push_back(stream.get());
  return all;
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void run_as_set() {
  switch (settings().streams) {
    case Settings::Time::late: break;
    case Settings::Time::early:
      while (run_some()) {
      }
      break;
    case Settings::Time::random: {
      static std::mt19937_64 random(settings().seed);
      const std::vector<Stream*> all = all_streams();
      for (auto rounds = random() % (2 * all.size()); rounds > 0; --rounds) {
        Stream* const chosen = all[random() % all.size()];
        if (find_stream(chosen) == chosen) run_one(chosen);  // one before it may have ended it
      }
      break;
    }
  }
}

}  // namespace

void StreamLock::lock() {
  mutex.lock();
  ++holders;
}

void StreamLock::unlock() {
  if (--holders == 0) close_device_memory();
  mutex.unlock();
}

Stream* new_stream(int device) {
  streams().made.push_back(std::make_unique<Stream>(device));
  return streams().made.back().get();
}

void delete_stream(Stream* stream) {
  std::erase_if(streams().made, [stream](const auto& made) { return made.get() == stream; });
}

Stream* find_stream(Stream* stream) {
  if (stream == nullptr) return default_stream(current_device());
  const std::vector<Stream*> all = all_streams();
  return std::find(all.begin(), all.end(), stream) == all.end() ? nullptr : stream;
}

void enqueue(Stream* stream, Work work) {
  if (stream->capture != nullptr) {
    Graph& graph = *stream->capture;
    const auto at = std::find(graph.streams.begin(), graph.streams.end(), stream);
    graph.works.emplace_back(static_cast<std::size_t>(at - graph.streams.begin()), std::move(work));
    return;
  }
  stream->queue.push_back(std::move(work));
  run_as_set();
}

bool run_one(Stream* stream) {
  if (stream->asking || stream->queue.empty()) return false;
  Work& head = stream->queue.front();
  if (head.awaited != nullptr && !head.awaited->done) return run_one(head.awaited->on);
  open_device_memory();
  if (head.ready) {
    stream->asking = true;
    const bool ready = head.ready();
    stream->asking = false;
    if (!ready) return false;
  }
  const Work work = std::move(head);
  stream->queue.pop_front();
  if (work.run) work.run();
  if (work.recorded != nullptr) work.recorded->done = true, work.recorded->seconds = now();
  return true;
}

bool run_some() {
  bool any = false;
  for (Stream* const stream : all_streams()) {
    if (find_stream(stream) == stream) any = run_one(stream) || any;  // one before it may have ended it
  }
  return any;
}

void run_until(Stream* stream, const std::function<bool()>& condition, StreamLock& lock) {
  while (!condition()) {
    if (run_one(stream) || run_some()) continue;
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    lock.lock();
  }
}

void synchronize(Stream* stream, StreamLock& lock) {
  run_until(
      stream, [stream] { return stream->queue.empty(); }, lock);
}

void synchronize_device(int device, StreamLock& lock) {
  const auto idle = [device] {
    const std::vector<Stream*> all = all_streams();
    return std::all_of(all.begin(), all.end(),
                       [device](const Stream* s) { return s->device != device || s->queue.empty(); });
  };
  run_until(default_stream(device), idle, lock);
}

}  // namespace emulation
