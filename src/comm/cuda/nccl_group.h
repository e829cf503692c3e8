#pragma once
// A group whose calls run on GPUs: one NCCL communicator, and the stream on which its calls are queued.
//
// The compute threads of all its ranks make it at the same time, and call it. The progress engine's thread
// looks for errors of calls under way and, when communication has failed, aborts the group: its calls then
// end, whether they have done their work or not.

#include "nccl.h"
#include "operation.h"

#include "headwater/tensor/cuda/stream.h"
#include "headwater/tensor/device_memory.h"

#include <functional>

namespace headwater::comm {

class NcclGroup final : public Group {
 public:
  // `owner` names this rank in errors ("rank 3"). `blocks` is the largest number of blocks that NCCL's
  // kernels may have.
  NcclGroup(Membership membership, const NcclId& id, Device device, std::string_view owner, int blocks);
  ~NcclGroup() override;

  // Connects a group of two, in which member `sender` will send messages to the other. Both call it once,
  // before any other call. NCCL connects a pair with its first message, in which both hosts wait for each
  // other; both come to that one here at the same time.
  void connect(int sender);

  // Has `call` queue work on the stream, which waits for `after` first. Returns the event of that work.
  // Throws CommError if the group has been aborted.
  std::shared_ptr<cuda::Mark> queue(const Event& after,
                                    const std::function<ncclResult_t(ncclComm_t, cudaStream_t)>& call);

  // For the engine's thread:
  void check_for_errors();  // throws CommError if NCCL reports that a call under way has failed
  void abandon() override;  // aborts the group
  bool on_device() const override { return true; }
  int blocks() const { return blocks_; }

 private:
  void count_scratch();

  cuda::Stream stream_;
  std::int64_t free_before_;
  int blocks_;
  DeviceMemory first_message_;
  std::timed_mutex mutex_;     // keeps comm_ from being aborted while it is called
  ncclComm_t comm_ = nullptr;  // null once aborted
};

}  // namespace headwater::comm
