#pragma once
// Streams are queues of work, first in, first out, and nothing more: what orders two of them is an event.
// Work runs on the thread that comes to need it (`late`), at once where nothing holds it up (`early`), or by
// chance at any call in between
// (`random`), so that a missing event or a buffer reused too soon shows as a wrong result. One lock guards
// all streams, events and graphs; it is held while work runs.

#include "cuda_runtime_api.h"

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace emulation {

// One cudaEventRecord.
struct Record {
  Stream* on = nullptr;
  bool done = false;
  bool captured = false;  // in a graph: never done itself
  double seconds = 0.0;   // when it was done
};

class Event {
 public:
  std::shared_ptr<Record> latest;  // null: never recorded, and waiting for it is nothing
  bool timed = true;
};

struct Work {
  std::function<void()> run;    // may be empty
  std::function<bool()> ready;  // asked again and again until true, for what comes from outside; empty: ready
  std::shared_ptr<Record> awaited, recorded;  // what must be done before, and what is done then; may be null
};

// What was captured, as the works of each stream that took part; the first is the one where capture began.
struct Graph {
  std::vector<Stream*> streams;
  std::vector<std::pair<std::size_t, Work>> works;  // with the number of the stream
};

class Stream {
 public:
  explicit Stream(int of) : device(of) {}
  int device;
  std::deque<Work> queue;
  // whether the first is ready, which runs other streams and must not come back to this one
  bool asking = false;
  std::shared_ptr<Graph> capture;  // where work goes while it is not null
};

// Where one is held by a call, calls within it hold it too. The outermost closes the devices' memory to the
// host.
class StreamLock {
 public:
  StreamLock() { lock(); }
  ~StreamLock() { unlock(); }
  StreamLock(const StreamLock&) = delete;
  StreamLock& operator=(const StreamLock&) = delete;
  void lock();
  void unlock();
};

Stream* new_stream(int device);
void delete_stream(Stream* stream);  // when its work is done
// the device's default stream for null; null where there is no such stream
Stream* find_stream(Stream* stream);

void enqueue(Stream* stream, Work work);
bool run_one(Stream* stream);  // of its work, or of what that waits for; false where nothing can run
bool run_some();               // one of each stream
// Until the condition holds, by the work of `stream`; where that stands still, by that of others.
void run_until(Stream* stream, const std::function<bool()>& condition, StreamLock& lock);
void synchronize(Stream* stream, StreamLock& lock);
void synchronize_device(int device, StreamLock& lock);

}  // namespace emulation
