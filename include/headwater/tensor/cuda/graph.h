#pragma once
// A stream's work, captured once as a CUDA graph and launched any number of times.

#include "headwater/tensor/cuda/stream.h"

#include <functional>

namespace headwater::cuda {

// Owns the graph. Belongs to the thread of its stream.
class Graph {
 public:
  // Captures what `work` queues on the stream, without running it. `work` must not wait for anything. Other
  // threads may use CUDA meanwhile; their work is not captured.
  Graph(Stream& stream, const std::function<void()>& work);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch();  // queues the captured work on the stream

 private:
  Stream& stream_;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace headwater::cuda
