#pragma once
// A group whose calls run on GPUs: one NCCL communicator, and the stream that its calls are queued on, one
// after the other.
//
// Made by all its ranks at once. Made and called by the compute thread. The engine's thread looks in on it
// and, where communication has failed, gives it up: calls under way then end, whatever they have done.

#include "nccl.h"
#include "operation.h"

#include "headwater/tensor/cuda/stream.h"
#include "headwater/tensor/device_memory.h"

#include <functional>

namespace headwater::comm {

class NcclGroup final : public Group {
 public:
  // `owner`: "rank 3", for errors. `blocks`: the most that its kernels may have.
  NcclGroup(Place place, const NcclId& id, Device device, std::string_view owner, int blocks);
  ~NcclGroup() override;

  // Of a pair, whose member `sender` sends messages to the other: both call it, once, before anything else.
  // NCCL connects a pair in its first message, in which the hosts of both wait for each other; here they come
  // to it together.
  void connect(int sender);

  // Queues what `call` makes of the communicator and the stream, once `after` is done. CommError where the
  // group has been given up.
  std::shared_ptr<cuda::Mark> queue(const Event& after,
                                    const std::function<ncclResult_t(ncclComm_t, cudaStream_t)>& call);

  // the engine's thread; CommError where NCCL reports that a call under way has failed
  void look();
  void abandon() override;
  bool on_device() const override { return true; }
  int blocks() const { return blocks_; }

 private:
  void count_scratch();

  cuda::Stream stream_;
  std::int64_t free_before_;
  int blocks_;
  DeviceMemory first_message_;
  std::timed_mutex mutex_;     // guards comm_ against being given up while it is called
  ncclComm_t comm_ = nullptr;  // null: given up
};

}  // namespace headwater::comm
