#pragma once
// Work of a stream, captured as a CUDA graph and launched again and again.

#include "headwater/tensor/cuda/stream.h"

#include <functional>

namespace headwater::cuda {

// Owns the graph. Belongs to the thread of its stream.
class Graph {
 public:
  // What `work` queues on the stream, which does not run: only launch() does. `work` may wait for nothing.
  // What other threads do meanwhile is not captured, and does not disturb.
  Graph(Stream& stream, const std::function<void()>& work);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch();  // after all that the stream was given before

 private:
  Stream& stream_;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace headwater::cuda
