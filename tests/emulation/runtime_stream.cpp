// Streams, events and graphs. Streams are made with cudaStreamNonBlocking: the default stream's implicit
// order with others is not there.

#include "runtime.h"
#include "stream.h"

#include <algorithm>

namespace emulation {

// Graph and executable are the same here.
class GraphHandle {
 public:
  std::shared_ptr<Graph> graph;
};

namespace {

// The works of a graph on streams of its own, between two records of the stream that it is launched on.
void replay(const Graph& graph, Stream* stream) {
  std::vector<Stream*> branches;
  auto begun = std::make_shared<Record>();
  begun->on = stream;
  enqueue(stream, {{}, {}, nullptr, begun});
  for (std::size_t i = 0; i < graph.streams.size(); ++i) {
    branches.push_back(new_stream(stream->device));
    enqueue(branches.back(), {{}, {}, begun, nullptr});
  }
  std::vector<std::pair<Record*, std::shared_ptr<Record>>> records;  // of the capture, of this replay
  for (const auto& [branch, captured] : graph.works) {
    Work work = captured;
    for (const auto& [then, now] : records) {
      if (captured.awaited.get() == then) work.awaited = now;
    }
    if (captured.recorded != nullptr) {
      work.recorded = std::make_shared<Record>();
      work.recorded->on = branches[branch];
      records.emplace_back(captured.recorded.get(), work.recorded);
    }
    enqueue(branches[branch], std::move(work));
  }
  for (Stream* const branch : branches) {
    auto ended = std::make_shared<Record>();
    ended->on = branch;
    enqueue(branch, {{}, {}, nullptr, ended});
    enqueue(stream, {[branch] { delete_stream(branch); }, {}, ended, nullptr});
  }
}

}  // namespace
}  // namespace emulation

using emulation::done;
using emulation::failed;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags != cudaStreamNonBlocking) return failed(cudaErrorInvalidValue);
  const emulation::StreamLock lock;
  *stream = emulation::new_stream(emulation::current_device());
  return done();
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0, *greatest = -5;
  return done();
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  emulation::StreamLock lock;
  if (handle == nullptr || emulation::find_stream(handle) == nullptr)
    return failed(cudaErrorInvalidResourceHandle);
  emulation::synchronize(handle, lock);
  emulation::delete_stream(handle);
  return done();
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  emulation::StreamLock lock;
  emulation::Stream* const stream = emulation::find_stream(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) return failed(cudaErrorStreamCaptureUnsupported);
  emulation::synchronize(stream, lock);
  return done();
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  const emulation::StreamLock lock;
  emulation::Stream* const stream = emulation::find_stream(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (!stream->queue.empty() && !emulation::run_one(stream)) emulation::run_some();
  return stream->queue.empty() ? done() : cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  const emulation::StreamLock lock;
  emulation::Stream* const stream = emulation::find_stream(handle);
  if (stream == nullptr || event == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (event->latest == nullptr) return done();
  if (event->latest->captured) {
    const auto capture = event->latest->on->capture;
    if (capture == nullptr) return failed(cudaErrorInvalidValue);  // it has ended, and its events with it
    if (stream->capture == nullptr) {                              // it goes on in this stream too
      stream->capture = capture;
      capture->streams.push_back(stream);
    }
  } else if (stream->capture != nullptr) {
    return failed(cudaErrorStreamCaptureUnsupported);  // a graph does not wait for what lies outside of it
  }
  emulation::enqueue(stream, {{}, {}, event->latest, nullptr});
  return done();
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new emulation::Event;
  (*event)->timed = (flags & cudaEventDisableTiming) == 0;
  return done();
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (event == nullptr) return failed(cudaErrorInvalidResourceHandle);
  const emulation::StreamLock lock;
  delete event;
  return done();
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  const emulation::StreamLock lock;
  emulation::Stream* const stream = emulation::find_stream(handle);
  if (stream == nullptr || event == nullptr) return failed(cudaErrorInvalidResourceHandle);
  event->latest = std::make_shared<emulation::Record>();
  event->latest->on = stream;
  event->latest->captured = stream->capture != nullptr;
  emulation::enqueue(stream, {{}, {}, nullptr, event->latest});
  return done();
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  emulation::StreamLock lock;
  if (event == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (event->latest == nullptr) return done();
  const auto record = event->latest;
  if (record->captured) return failed(cudaErrorStreamCaptureUnsupported);
  if (!record->done)
    emulation::run_until(
        record->on, [&record] { return record->done; }, lock);
  return done();
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const emulation::StreamLock lock;
  if (event == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (event->latest == nullptr) return done();
  if (event->latest->captured) return failed(cudaErrorStreamCaptureUnsupported);
  if (!event->latest->done && !emulation::run_one(event->latest->on)) emulation::run_some();
  return event->latest->done ? done() : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const emulation::StreamLock lock;
  for (const cudaEvent_t event : {start, end}) {
    if (event == nullptr || event->latest == nullptr || !event->timed)
      return failed(cudaErrorInvalidResourceHandle);
    if (!event->latest->done) return cudaErrorNotReady;
  }
  *milliseconds = static_cast<float>(1e3 * (end->latest->seconds - start->latest->seconds));
  return done();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode) {
  const emulation::StreamLock lock;
  emulation::Stream* const stream = emulation::find_stream(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (handle == nullptr || stream->capture != nullptr) return failed(cudaErrorStreamCaptureUnsupported);
  stream->capture = std::make_shared<emulation::Graph>();
  stream->capture->streams.push_back(stream);
  return done();
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  const emulation::StreamLock lock;
  emulation::Stream* const stream = emulation::find_stream(handle);
  if (stream == nullptr || stream->capture == nullptr || stream->capture->streams.front() != stream) {
    return failed(cudaErrorStreamCaptureUnsupported);
  }
  const auto captured = stream->capture;
  for (emulation::Stream* const each : captured->streams) each->capture = nullptr;
  // The last that each other stream did must be a record that somebody waited for.
  for (std::size_t branch = 1; branch < captured->streams.size(); ++branch) {
    const auto last = std::find_if(captured->works.rbegin(), captured->works.rend(),
                                   [branch](const auto& work) { return work.first == branch; });
    const bool joined =
        std::any_of(captured->works.begin(), captured->works.end(), [&last](const auto& work) {
          return last->second.recorded != nullptr && work.second.awaited == last->second.recorded;
        });
    if (!joined) return failed(cudaErrorStreamCaptureUnjoined);
  }
  *graph = new emulation::GraphHandle{captured};
  return done();
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new emulation::GraphHandle{graph->graph};
  return done();
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t handle) {
  const emulation::StreamLock lock;
  emulation::Stream* const stream = emulation::find_stream(handle);
  if (stream == nullptr || executable == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) return failed(cudaErrorStreamCaptureUnsupported);
  emulation::replay(*executable->graph, stream);
  return done();
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return done();
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return done();
}
