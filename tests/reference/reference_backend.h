#pragma once
// The op catalogue in double precision, in the plainest loops that its header allows: what every other
// backend is compared with, and what tests of blocks and stages may run on. Compute and accumulate dtype are
// f64. It shares no code with the backends but Philox and the ops' checks; its gradients are checked by
// finite differences.

#include "headwater/backend/backend.h"

namespace headwater {

class ReferenceBackend final : public Backend {
 public:
  Device device() const override { return {}; }
  Queue& queue() override { return queue_; }
  void use_workspace(TensorView) override {}

  void to_device(TensorView host, TensorView device) override;
  void to_host(TensorView device, TensorView host) override;

 private:
  HEADWATER_OPS(HEADWATER_COMPUTES)

  CpuQueue queue_;
};

}  // namespace headwater
