#pragma once
// A backend that hands every op on to another one, which it owns, and while measuring adds up, by the op's
// name: calls, seconds, the floating-point operations of its matrix products, and the least bytes that it
// must move: each operand read once, each result written once.
//
// The queue is brought to rest before and after every op that is measured: on the CPU, where an op has ended
// when its call returns, that costs nothing; on a GPU each op then pays for a launch and a wait of its own.
// Belongs to the inner backend's thread.

#include "headwater/backend/backend.h"

#include <map>
#include <string>

namespace headwater {

struct OpTotals {
  std::int64_t calls = 0;
  double seconds = 0.0;
  double flops = 0.0;
  double bytes = 0.0;

  // The physical limit: what no implementation can stay under whose products run at `matmul_flops` and whose
  // operands come from memory at `bandwidth`. What still lies in a cache may arrive sooner.
  double floor_seconds(double matmul_flops, double bandwidth) const;
};

class TimedBackend final : public Backend {
 public:
  explicit TimedBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}
  // Does nothing, and counts on operands that need not exist: only ops may be called.
  TimedBackend() : measuring_(true) {}

  Backend& inner() { return *inner_; }

  void measure(bool on) { measuring_ = on; }  // off at first
  std::map<std::string, OpTotals> take_totals() { return std::exchange(totals_, {}); }

  Device device() const override { return inner_->device(); }
  Queue& queue() override { return inner_->queue(); }
  void use_workspace(TensorView bytes) override { inner_->use_workspace(bytes); }

  // Ops are measured as they are called.
  void repeat(std::uint64_t key, const std::function<void()>& work) override {
    measuring_ ? work() : inner_->repeat(key, work);
  }

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
  struct Work {
    double bytes = 0.0, flops = 0.0;
  };
  template <class Op>
  void timed(const char* name, Work work, const Op& op);

  std::unique_ptr<Backend> inner_;
  bool measuring_ = false;
  std::map<std::string, OpTotals> totals_;
};

}  // namespace headwater
