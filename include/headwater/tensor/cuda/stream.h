#pragma once
// CUDA's streams and events, as Queue and Event (tensor/queue.h).

#include "headwater/tensor/queue.h"

#include <cuda_runtime_api.h>

#include <string>
#include <string_view>

namespace headwater::cuda {

class Stream;

// An event that streams can wait for. Any thread may use it.
class StreamEvent : public EventState {
 public:
  virtual cudaEvent_t get() const = 0;
  // Whether wait() may throw although the device has passed the event. This is so for work that other ranks
  // take part in, since it can be aborted.
  virtual bool may_fail() const { return false; }
};

// The event of a point in a stream: done when the work that was queued before it is.
class Mark final : public StreamEvent {
 public:
  explicit Mark(const Stream& stream);
  ~Mark() override;
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;

  bool done() const override;
  void wait() override;
  cudaEvent_t get() const override { return event_; }

 private:
  std::string name_;
  cudaEvent_t event_ = nullptr;
};

enum class Priority { normal, high };

// Owns a CUDA stream. Work queued on it runs in order, and concurrently with other streams. It belongs to
// one thread, and its constructor makes `device` that thread's current device.
class Stream final : public Queue {
 public:
  // `owner` ("rank 3") and `purpose` ("compute") name the stream in errors.
  Stream(Device device, std::string_view owner, std::string_view purpose,
         Priority priority = Priority::normal);
  ~Stream() override;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  cudaStream_t get() const { return stream_; }
  const std::string& name() const { return name_; }  // "rank 3, cuda:1, compute"

  Device device() const override { return device_; }
  Event record() override;
  // The stream waits for a StreamEvent; the host waits for any other event.
  void wait(const Event& event) override;
  // Also throws the error of an event that the stream has waited for, if it failed.
  void synchronize() override;

 private:
  Device device_;
  std::string name_;
  cudaStream_t stream_ = nullptr;
  // The last event that the stream has waited for and that may fail. The last is enough: a failure ends all
  // of them.
  Event may_fail_;
};

}  // namespace headwater::cuda
