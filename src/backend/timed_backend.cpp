#include "headwater/backend/timed_backend.h"

#include "headwater/base/clock.h"

#include <algorithm>

namespace headwater {

double OpTotals::floor_seconds(double matmul_flops, double bandwidth) const {
  return std::max(flops / matmul_flops, bytes / bandwidth);
}

void TimedBackend::timed(const char* name, double flops, double bytes, const std::function<void()>& work) {
  OpTotals& totals = totals_[name];
  ++totals.calls;
  totals.flops += flops;
  totals.bytes += bytes;
  if (!inner_) return;
  queue().synchronize();
  const Stopwatch watch;
  work();
  queue().synchronize();
  totals.seconds += watch.seconds();
}

template <class Op>
void TimedBackend::measured(const Op& op) {
  if (!measuring_) return inner_->run(op);
  timed(op::name_of(op), op::flops_of(op), op::bytes_of(op), [&] { inner_->run(op); });
}

#define HEADWATER_MEASURED(Op) \
  void TimedBackend::compute(const op::Op& op) { measured(op); }
HEADWATER_OPS(HEADWATER_MEASURED)
#undef HEADWATER_MEASURED

void TimedBackend::to_device(TensorView host, TensorView device) {
  if (!measuring_) return inner_->to_device(host, device);
  const double bytes = static_cast<double>(host.bytes() + device.bytes());
  timed("to_device", 0.0, bytes, [&] { inner_->to_device(host, device); });
}

void TimedBackend::to_host(TensorView device, TensorView host) {
  if (!measuring_) return inner_->to_host(device, host);
  const double bytes = static_cast<double>(device.bytes() + host.bytes());
  timed("to_host", 0.0, bytes, [&] { inner_->to_host(device, host); });
}

}  // namespace headwater
