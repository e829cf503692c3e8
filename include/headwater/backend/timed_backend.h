#pragma once
// A backend that hands every op on to another one, which it owns, and while measuring adds up, by the op's
// name: calls, seconds, the floating-point operations of its matrix products, and the least bytes that it
// must move (ops.h, flops_of() and bytes_of()).
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

  void to_device(TensorView host, TensorView device) override;
  void to_host(TensorView device, TensorView host) override;

 private:
  HEADWATER_OPS(HEADWATER_COMPUTES)
  template <class Op>
  void measured(const Op& op);
  // Adds one call that work() makes.
  void timed(const char* name, double flops, double bytes, const std::function<void()>& work);

  std::unique_ptr<Backend> inner_;
  bool measuring_ = false;
  std::map<std::string, OpTotals> totals_;
};

}  // namespace headwater
