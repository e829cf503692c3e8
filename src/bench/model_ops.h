#pragma once
// The ops of a training step on one rank that has whole layers, one by one, as the model's units run them
// (nn/unit_record.h): which op of the catalogue, on which shapes, how often. Left out are those between
// stages, between ranks, and between host and device.

#include "headwater/backend/any_op.h"
#include "headwater/model/activation_spec.h"

#include "operands.h"

#include <map>
#include <string>
#include <vector>

namespace headwater {

struct ModelOp {
  AnyOp op;           // on operands that do not exist
  std::string what;   // which of several of the op: "mlp.gate_up"; empty where there is one
  std::string shape;  // "[512, 2048] x [8192, 2048]"
  double calls = 0;   // per micro-batch; of an op of the update, per step
};

// As on a device of that kind; without recomputation. Where attention has dropout it is listed without, too
// (not called). Ops of the update are on a tensor as large as the largest parameter.
std::vector<ModelOp> model_ops(const ModelSpec& model, BatchShape batch, Precision precision,
                               Device::Kind device);

// The op on operands of its own from `operands`, filled with what it may be called with again and again:
// tokens of the model's vocabulary, one document per sample, statistics of a softmax, random numbers
// elsewhere.
AnyOp with_operands(const AnyOp& op, Operands& operands, const ModelSpec& model, BatchShape batch);

}  // namespace headwater
