#pragma once
// A backend computes the ops of the catalogue (ops.h) on one compute queue of one device.
//
// A Backend belongs to one thread. Ops run in order on queue(); inputs made elsewhere are awaited with
// queue().wait(). No op allocates: scratch comes from use_workspace().

#include "headwater/backend/ops.h"
#include "headwater/tensor/queue.h"

#include <functional>
#include <memory>

namespace headwater {

class Backend {
 public:
  virtual ~Backend() = default;

  virtual Device device() const = 0;
  virtual Queue& queue() = 0;
  virtual void use_workspace(
      TensorView bytes) = 0;  // sized by op_workspace_bytes() (nn/unit_record.h); i32 view

  // Queues one op of namespace op. Throws InternalError where its operands do not fit (its check()).
  template <class Op>
  void run(const Op& op) {
    op.check();
    compute(op);
  }

  // Does what work() does: ops of this backend, the same ones on the same memory each time that it comes with
  // this key. It neither records nor awaits events, nor copies from or to the host. A backend may record what
  // the ops launch, and launch that again without calling work().
  virtual void repeat(std::uint64_t /*key*/, const std::function<void()>& work) { work(); }

  // Copies between the host and the device; dense, of the same dtype and shape. The host memory of
  // to_device() may be reused at once; to_host() returns when the host memory holds the copy.
  virtual void to_device(TensorView host, TensorView device) = 0;
  virtual void to_host(TensorView device, TensorView host) = 0;

 protected:
#define HEADWATER_COMPUTE(Op) virtual void compute(const op::Op& op) = 0;
  HEADWATER_OPS(HEADWATER_COMPUTE)
#undef HEADWATER_COMPUTE
};

// In the class of a backend: declares that it computes every op.
#define HEADWATER_COMPUTES(Op) void compute(const op::Op& op) override;

}  // namespace headwater
