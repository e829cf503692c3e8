#pragma once
// A group whose calls run on GPUs: one NCCL communicator, and the stream that its calls are queued on, one after the other.
//
// Made by all its ranks at once. Made and called by the compute thread. The engine's thread looks in on it and, where
// communication has failed, gives it up: calls under way then end, whatever they have done.

#include "nccl.h"
#include "operation.h"

#include "headwater/tensor/cuda/stream.h"
#include "headwater/tensor/device_memory.h"

#include <functional>

namespace headwater::comm {

class NcclGroup final : public Group {
 public:
  // `owner`: "rank 3", for errors. `blocks`: the most that its kernels may have. `sender`: of two members the one that sends
  // messages to the other; -1: a group for collectives.
  NcclGroup(Place place, const NcclId& id, Device device, std::string_view owner, int blocks, int sender);
  ~NcclGroup() override;

  // Queues what `call` makes of the communicator and the stream, once `after` is done. CommError where the group has been
  // given up.
  std::shared_ptr<cuda::Mark> queue(const Event& after, const std::function<ncclResult_t(ncclComm_t, cudaStream_t)>& call);

  void look();              // the engine's thread; CommError where NCCL reports that a call under way has failed
  void abandon() override;
  bool on_device() const override { return true; }
  int blocks() const { return blocks_; }

 private:
  void connect(int sender);

  cuda::Stream stream_;
  int blocks_;
  DeviceMemory first_message_;
  std::timed_mutex mutex_;  // guards comm_ against being given up while it is called
  ncclComm_t comm_ = nullptr;  // null: given up
};

}  // namespace headwater::comm
