#include "headwater/backend/any_op.h"

namespace headwater {

const char* name_of(const AnyOp& any) {
  const char* name = "";
  with_op(any, [&](const auto& op) { name = op::name_of(op); });
  return name;
}

double flops_of(const AnyOp& any) {
  double flops = 0.0;
  with_op(any, [&](const auto& op) { flops = op::flops_of(op); });
  return flops;
}

double bytes_of(const AnyOp& any) {
  double bytes = 0.0;
  with_op(any, [&](const auto& op) { bytes = op::bytes_of(op); });
  return bytes;
}

void run(Backend& backend, const AnyOp& any) {
  with_op(any, [&](const auto& op) { backend.run(op); });
}

}  // namespace headwater
