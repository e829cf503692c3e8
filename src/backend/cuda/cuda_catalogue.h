#pragma once
// The op catalogue on a GPU, declared; each family of ops is defined in the file of its name. An op checks
// what it was given, picks the element type and launches the kernel of its name (kernels/kernels.h) on the
// stream.

#include "headwater/backend/cuda_backend.h"
#include "headwater/tensor/cuda/graph.h"
#include "headwater/tensor/cuda/memory.h"
#include "headwater/tensor/cuda/stream.h"

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

  void zero(TensorView x) override;
  void copy(TensorView from, TensorView to) override;
  void add(TensorView x, TensorView y) override;
  void to_device(TensorView host, TensorView device) override;
  void to_host(TensorView device, TensorView host) override;

  void refresh(Weight& weight) override;
  void linear(TensorView x, const Weight& w, TensorView y) override;
  void linear_input_gradient(TensorView dy, const Weight& w, TensorView dx, bool accumulate) override;
  void linear_weight_gradient(TensorView dy, TensorView x, TensorView dw) override;

  void embedding(TensorView tokens, TensorView table, std::int64_t first, TensorView out) override;
  void embedding_backward(TensorView tokens, TensorView d_out, std::int64_t first,
                          TensorView d_table) override;

  void rms_norm(TensorView x, TensorView gain, double epsilon, TensorView y, TensorView rstd) override;
  void rms_norm_backward(TensorView dy, TensorView x, TensorView gain, TensorView rstd, TensorView dx,
                         bool accumulate, TensorView d_gain) override;

  void residual_add(TensorView branch, TensorView x, const Dropout& dropout, TensorView out) override;
  void residual_rms_norm(TensorView branch, TensorView x, const Dropout& dropout, TensorView gain,
                         double epsilon, TensorView out, TensorView y, TensorView rstd) override;
  void dropout_backward(TensorView d_out, const Dropout& dropout, TensorView d_branch) override;

  void lfa_taps(TensorView products, const Borders& borders, std::int64_t samples, TensorView before,
                TensorView bias, TensorView residual, TensorView out) override;
  void lfa_taps_backward(TensorView d_out, const Borders& borders, std::int64_t samples,
                         TensorView d_products, TensorView d_before, TensorView d_bias) override;
  void lfa_taps_rms_norm(TensorView products, const Borders& borders, std::int64_t samples, TensorView before,
                         TensorView bias, TensorView residual, TensorView gain, double epsilon, TensorView z,
                         TensorView y, TensorView rstd) override;

  void rotary(TensorView x, TensorView position, TensorView table, bool inverse) override;

  void attention(const AttentionArgs& args, TensorView out, TensorView lse) override;
  void attention_backward(const AttentionArgs& args, TensorView out, TensorView lse, TensorView d_out,
                          TensorView dq, TensorView dk, TensorView dv) override;

  void swiglu(TensorView x, TensorView out) override;
  void swiglu_backward(TensorView d_out, TensorView x, TensorView dx) override;

  void softmax_statistics(TensorView logits, TensorView labels, std::int64_t first, std::int64_t valid,
                          TensorView statistics) override;
  void combine_statistics(TensorView shards, TensorView statistics) override;
  void cross_entropy_backward(TensorView logits, TensorView labels, std::int64_t first, std::int64_t valid,
                              TensorView statistics, TensorView scalars) override;
  void cross_entropy_loss(TensorView labels, TensorView statistics, TensorView scalars) override;

  void add_squared_norm(TensorView x, TensorView sum) override;
  void decide_step(double clip, TensorView scalars) override;
  void adamw(const AdamWArgs& args, TensorView scalars) override;

 private:
  // Scratch of so many bytes, 256-byte aligned, of use until the next op that asks.
  void* scratch(std::int64_t bytes) const;
  // After the kernels of an op: what refused them.
  void launched(const char* op) const;

  Stream stream_;
  bool deterministic_, graphs_;
  Staging staging_;
  MatrixProducts products_;
  TensorView workspace_;
  std::map<std::uint64_t, std::optional<Graph>> repeated_;  // by key; none yet after the first time
};

}  // namespace headwater::cuda
