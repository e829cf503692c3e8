#include "headwater/tensor/cuda/graph.h"

#include "headwater/tensor/cuda/check.h"

namespace headwater::cuda {
namespace {

// A capture of a stream. It ends at the latest with the object, since a stream in capture refuses all other
// work.
class Capture {
 public:
  explicit Capture(const Stream& stream) : stream_(stream) {
    HW_CUDA(stream_.name(), cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal));
    open_ = true;
  }
  ~Capture() {
    if (open_)
      cudaStreamEndCapture(stream_.get(),
                           &graph_);  // its result is ignored: an exception is on its way, which says more
    if (graph_ != nullptr) HW_CUDA_LOG(stream_.name(), cudaGraphDestroy(graph_));
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  cudaGraph_t end() {
    open_ = false;
    HW_CUDA(stream_.name(), cudaStreamEndCapture(stream_.get(), &graph_));
    return graph_;
  }

 private:
  const Stream& stream_;
  bool open_ = false;
  cudaGraph_t graph_ = nullptr;
};

}  // namespace

Graph::Graph(Stream& stream, const std::function<void()>& work) : stream_(stream) {
  Capture capture(stream);
  work();
  HW_CUDA(stream.name(), cudaGraphInstantiate(&executable_, capture.end(), 0));
}

Graph::~Graph() { HW_CUDA_LOG(stream_.name(), cudaGraphExecDestroy(executable_)); }

void Graph::launch() { HW_CUDA(stream_.name(), cudaGraphLaunch(executable_, stream_.get())); }

}  // namespace headwater::cuda
