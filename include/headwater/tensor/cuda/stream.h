#pragma once
// Streams of a GPU and the events that join them, behind the house's Queue and Event.

#include "headwater/tensor/queue.h"

#include <cuda_runtime_api.h>

#include <string>

namespace headwater::cuda {

enum class Priority { normal, high };

// Owns a stream. Work that is queued on it runs in order, and beside that of other streams. Belongs to one thread, whose
// device it makes its own.
class Stream final : public Queue {
 public:
  // `owner`: "rank 3", for errors.
  Stream(Device device, std::string_view owner, std::string_view purpose, Priority priority = Priority::normal);
  ~Stream() override;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  cudaStream_t get() const { return stream_; }
  const std::string& name() const { return name_; }  // "rank 3, cuda:1, compute"

  Device device() const override { return device_; }
  Event record() override;
  // An event of a GPU is awaited by the stream, any other by the host.
  void wait(const Event& event) override;
  void synchronize() override;

 private:
  Device device_;
  std::string name_;
  cudaStream_t stream_ = nullptr;
};

}  // namespace headwater::cuda
