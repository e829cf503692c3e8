#pragma once
// The op catalogue on a GPU, declared; each family of ops is defined in the file of its name. An op picks the
// element type and launches its kernel (kernels/kernels.h) on the stream.

#include "headwater/tensor/cuda/graph.h"
#include "headwater/tensor/cuda/memory.h"
#include "headwater/tensor/cuda/stream.h"

#include "cuda_backend.h"
#include "matrix_products.h"

#include <map>
#include <optional>

namespace headwater::cuda {

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const CudaOptions& options);

  Device device() const override { return stream_.device(); }
  Queue& queue() override { return stream_; }
  void use_workspace(TensorView bytes) override;
  MatmulAlgorithms fastest_matmuls() { return products_.fastest(); }
  void repeat(std::uint64_t key, const std::function<void()>& work) override;

  void to_device(TensorView host, TensorView device) override;
  void to_host(TensorView device, TensorView host) override;

 private:
  // Each is enqueue() and then launched().
  HEADWATER_OPS(HEADWATER_COMPUTES)
  // Queues the kernels of an op whose operands have passed its check(). Throws InternalError where there is
  // no kernel for their dtype.
#define HEADWATER_ENQUEUE(Op) void enqueue(const op::Op& o);
  HEADWATER_OPS(HEADWATER_ENQUEUE)
#undef HEADWATER_ENQUEUE
  // Throws InternalError, naming the op and the kernel, where a kernel that was just launched was refused.
  void launched(const char* op) const;
  // Scratch of so many bytes, 256-byte aligned, of use until the next op that asks.
  void* scratch(std::int64_t bytes) const;

  Stream stream_;
  bool deterministic_, graphs_;
  Staging staging_;
  MatrixProducts products_;
  TensorView workspace_;
  std::map<std::uint64_t, std::optional<Graph>> repeated_;  // by key; none yet after the first time
};

}  // namespace headwater::cuda
