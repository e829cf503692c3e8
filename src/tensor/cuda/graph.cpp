#include "headwater/tensor/cuda/graph.h"

#include "headwater/tensor/cuda/check.h"

namespace headwater::cuda {
namespace {

// A capture that goes on, and ends in any case: a stream that is left in one refuses everything.
class Capture {
 public:
  explicit Capture(const Stream& stream) : stream_(stream) {
    HW_CUDA(stream_.name(), cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal));
    open_ = true;
  }
  ~Capture() {
    if (open_) cudaStreamEndCapture(stream_.get(), &graph_);  // an error is under way, which tells more
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
