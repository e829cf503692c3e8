#include "headwater/tensor/cuda/stream.h"

#include "headwater/tensor/cuda/check.h"
#include "headwater/tensor/cuda/devices.h"

#include <fmt/format.h>

#include <utility>

namespace headwater::cuda {

Mark::Mark(const Stream& stream) : name_(stream.name()) {
  HW_CUDA(name_, cudaEventCreateWithFlags(&event_, cudaEventDisableTiming));
  HW_CUDA(name_, cudaEventRecord(event_, stream.get()));
}

Mark::~Mark() { HW_CUDA_LOG(name_, cudaEventDestroy(event_)); }

bool Mark::done() const {
  const cudaError_t state = cudaEventQuery(event_);
  if (state == cudaErrorNotReady) return false;
  check(state, name_, "cudaEventQuery", __FILE__, __LINE__);
  return true;
}

void Mark::wait() { HW_CUDA(name_, cudaEventSynchronize(event_)); }

Stream::Stream(Device device, std::string_view owner, std::string_view purpose, Priority priority)
    : device_(device), name_(fmt::format("{}, {}, {}", owner, name_of(device), purpose)) {
  use(device);
  int least = 0, greatest = 0;
  HW_CUDA(name_, cudaDeviceGetStreamPriorityRange(&least, &greatest));
  HW_CUDA(name_, cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking,
                                              priority == Priority::high ? greatest : least));
}

Stream::~Stream() { HW_CUDA_LOG(name_, cudaStreamDestroy(stream_)); }

Event Stream::record() { return Event(std::make_shared<Mark>(*this)); }

void Stream::wait(const Event& event) {
  const auto* point = dynamic_cast<const StreamEvent*>(event.state());
  if (point == nullptr) return event.wait();
  HW_CUDA(name_, cudaStreamWaitEvent(stream_, point->get(), 0));
  if (point->may_fail()) may_fail_ = event;
}

void Stream::synchronize() {
  HW_CUDA(name_, cudaStreamSynchronize(stream_));
  std::exchange(may_fail_, {}).wait();
}

}  // namespace headwater::cuda
