#include "stream.h"

#include "emulation/settings.h"
#include "memory.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

namespace emulation {
namespace {

std::recursive_mutex mutex;
int holders = 0;  // of the lock, all by one thread
Stream default_stream;

std::vector<std::unique_ptr<Stream>>& made_streams() {
  static std::vector<std::unique_ptr<Stream>> streams;
  return streams;
}

std::vector<Stream*> all_streams() {
  std::vector<Stream*> all{&default_stream};
  for (const auto& stream : made_streams()) all.push_back(stream.get());
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
      const std::vector<Stream*> streams = all_streams();
      for (auto rounds = random() % (2 * streams.size()); rounds > 0; --rounds)
        run_one(streams[random() % streams.size()]);
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

Stream* new_stream() {
  made_streams().push_back(std::make_unique<Stream>());
  return made_streams().back().get();
}

void delete_stream(Stream* stream) {
  std::erase_if(made_streams(), [stream](const auto& made) { return made.get() == stream; });
}

Stream* find_stream(Stream* stream) {
  if (stream == nullptr) return &default_stream;
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
  if (stream->queue.empty()) return false;
  Work& head = stream->queue.front();
  if (head.awaited != nullptr && !head.awaited->done) return run_one(head.awaited->on);
  open_device_memory();
  if (head.ready && !head.ready()) return false;
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

void synchronize_all(StreamLock& lock) {
  const auto idle = [] {
    const std::vector<Stream*> all = all_streams();
    return std::all_of(all.begin(), all.end(), [](const Stream* stream) { return stream->queue.empty(); });
  };
  run_until(&default_stream, idle, lock);
}

}  // namespace emulation
