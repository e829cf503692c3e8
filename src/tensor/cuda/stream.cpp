#include "headwater/tensor/cuda/stream.h"

#include "headwater/tensor/cuda/check.h"
#include "headwater/tensor/cuda/devices.h"

#include <fmt/format.h>

namespace headwater::cuda {
namespace {

class Mark final : public EventState {
 public:
  explicit Mark(const Stream& stream) : name_(stream.name()) {
    HW_CUDA(name_, cudaEventCreateWithFlags(&event_, cudaEventDisableTiming));
    HW_CUDA(name_, cudaEventRecord(event_, stream.get()));
  }
  ~Mark() override { HW_CUDA_LOG(name_, cudaEventDestroy(event_)); }
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;

  bool done() const override {
    const cudaError_t state = cudaEventQuery(event_);
    if (state == cudaErrorNotReady) return false;
    check(state, name_, "cudaEventQuery", __FILE__, __LINE__);
    return true;
  }
  void wait() override { HW_CUDA(name_, cudaEventSynchronize(event_)); }
  cudaEvent_t get() const { return event_; }

 private:
  std::string name_;
  cudaEvent_t event_ = nullptr;
};

}  // namespace

Stream::Stream(Device device, std::string_view owner, std::string_view purpose, Priority priority)
    : device_(device), name_(fmt::format("{}, {}, {}", owner, name_of(device), purpose)) {
  use(device);
  int least = 0, greatest = 0;
  HW_CUDA(name_, cudaDeviceGetStreamPriorityRange(&least, &greatest));
  HW_CUDA(name_, cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, priority == Priority::high ? greatest : least));
}

Stream::~Stream() { HW_CUDA_LOG(name_, cudaStreamDestroy(stream_)); }

Event Stream::record() { return Event(std::make_shared<Mark>(*this)); }

void Stream::wait(const Event& event) {
  if (const auto* mark = dynamic_cast<const Mark*>(event.state()))
    HW_CUDA(name_, cudaStreamWaitEvent(stream_, mark->get(), 0));
  else
    event.wait();
}

void Stream::synchronize() { HW_CUDA(name_, cudaStreamSynchronize(stream_)); }

}  // namespace headwater::cuda
