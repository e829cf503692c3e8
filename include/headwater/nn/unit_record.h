#pragma once
// The record of what a unit does on one rank, pass by pass: the ops that it runs and its exchanges with the
// ranks that share it. It is recorded from the unit's own forward and backward, run on operands that do not
// exist, so that FLOPs, scratch, costs and benchmarks are those of what is really computed.

#include "headwater/backend/any_op.h"
#include "headwater/nn/unit_description.h"

#include <map>
#include <string>
#include <vector>

namespace headwater {

// One call of a collective or a message among the ranks that share the unit.
struct Exchange {
  enum class Kind : std::uint8_t { all_reduce, reduce_scatter, all_gather, send, receive };
  Kind kind;
  double
      bytes;  // of the whole tensor: of what every rank has after an all_gather, or before a reduce_scatter
};

struct PassRecord {
  std::vector<AnyOp> ops;  // their operands lie at addresses that cannot be read
  std::vector<Exchange> exchanges;
};

struct UnitRecord {
  PassRecord forward;
  PassRecord recompute_selective, recompute_full;
  PassRecord input_gradient, weight_gradient;
  // By address: the name of each product's weight ("mlp.gate_up"), parameter and tensor.
  std::map<const void*, std::string> names;

  const PassRecord& recompute(Recompute how) const;  // selective or full
};

// The unit in a training step, as `rank` of the ranks that share it does it.
UnitRecord record_unit(const UnitSite& site, int rank);
// As the second of these ranks does it, or the only one. Of three or more it has neighbours on both sides, so
// that none exchanges more.
UnitRecord record_unit(const UnitSite& site);

// The ops of the end of a step on a parameter of `elements` elements: its gradient cleared and its norm
// taken, and the update.
UnitRecord record_update(std::int64_t elements, Precision precision);  // as `forward`

struct Flops {
  double linear = 0.0;     // products with weights
  double attention = 0.0;  // scores and values, causal half
  double total() const { return linear + attention; }
};
Flops flops_of(const PassRecord& pass);

// The largest scratch that any op of the model takes from its backend's workspace, on a rank that has the
// given share of each unit; `site.unit` is not read. Without training only forward's ops count.
std::int64_t op_workspace_bytes(const UnitSite& site, bool training, int threads);

}  // namespace headwater
