#pragma once
// Streams of a GPU and the events that join them, behind the house's Queue and Event.

#include "headwater/tensor/queue.h"

#include <cuda_runtime_api.h>

#include <string>
#include <string_view>

namespace headwater::cuda {

class Stream;

// An event that other streams can wait for. Any thread may ask it.
class StreamEvent : public EventState {
 public:
  virtual cudaEvent_t get() const = 0;
  // Whether wait() may throw though the device has come past it: work that others take part in can be given
  // up.
  virtual bool may_fail() const { return false; }
};

// A point of a stream.
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

// Owns a stream. Work that is queued on it runs in order, and beside that of other streams. Belongs to one
// thread, whose device it makes its own.
class Stream final : public Queue {
 public:
  // `owner`: "rank 3", for errors.
  Stream(Device device, std::string_view owner, std::string_view purpose,
         Priority priority = Priority::normal);
  ~Stream() override;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  cudaStream_t get() const { return stream_; }
  const std::string& name() const { return name_; }  // "rank 3, cuda:1, compute"

  Device device() const override { return device_; }
  Event record() override;
  // An event of a GPU is awaited by the stream, any other by the host.
  void wait(const Event& event) override;
  // Throws what made the events fail that this stream has waited for.
  void synchronize() override;

 private:
  Device device_;
  std::string name_;
  cudaStream_t stream_ = nullptr;
  Event may_fail_;  // the last such event that was waited for: one failure ends all that may
};

}  // namespace headwater::cuda
