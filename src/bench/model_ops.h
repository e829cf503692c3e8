#pragma once
// The ops of a training step on one rank that has whole layers, one by one: which op of the catalogue, on
// which shapes. Left out are those that move next to nothing, or move it between ranks, or between host and
// device.

#include "headwater/model/activation_spec.h"

#include "operands.h"

#include <functional>
#include <string>

namespace headwater {

using OpCall = std::function<void(Backend&)>;

struct ModelOp {
  std::string op;                         // of the catalogue
  std::string what;                       // which of several, "mlp.gate_up"; may be empty
  std::string shape;                      // "[512, 2048] x [8192, 2048]"
  std::function<OpCall(Operands&)> make;  // the call, on fresh operands; it may be made again and again
};

// As on a device of that kind. Layers are taken to be as the first. `make` may be called until `visit`
// returns, the call that it gives also later.
void for_each_model_op(const ModelSpec& model, BatchShape batch, Precision precision, Device::Kind device,
                       const std::function<void(const ModelOp&)>& visit);

}  // namespace headwater
