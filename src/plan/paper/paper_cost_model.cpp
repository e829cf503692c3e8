#include "headwater/plan/paper/paper_cost_model.h"

namespace headwater {
namespace {

// The factor is 8·16 for Yuan 2.0: forward, recomputation, and backward, which counts twice, of 16 H² weights
// a layer; LFA's weights are not counted. It is 8·12 for GPT. Equations 1 and 3 print attention's share as
// 1/(6H), where S/(6H) must be meant; the paper's Table 5 follows from what is printed.
double flops(const PaperRun& r) {
  const double tokens = r.micro_batches * r.micro_batch * r.sequence;
  const double factor =
      r.lfa ? 128.0 * (1.0 + r.sequence / (8.0 * r.hidden)) : 96.0 * (1.0 + 1.0 / (6.0 * r.hidden));
  return factor * tokens * r.layers * r.hidden * r.hidden;
}

// Equations 2 and 4 have an S where LFA's width H/2 must be meant; for the 102B model the two are equal.
double parameters(const PaperRun& r) {
  const double h = r.hidden, s = r.sequence;
  if (r.lfa)
    return 16.0 * r.layers * h * h *
           (1.0 + (1.0 + s) / (4.0 * h) + s / (16.0 * h * h) + r.vocabulary / (16.0 * r.layers * h));
  return 12.0 * r.layers * h * h * (1.0 + 13.0 / (12.0 * h) + r.vocabulary / (12.0 * r.layers * h));
}

}  // namespace

PaperStepTime paper_step_time(const PaperRun& r, PaperConstants constants) {
  const bool printed_in_appendix = constants == PaperConstants::appendix_c;
  const bool method_1 = r.tensor > 1.0;
  const double values = r.micro_batches * r.micro_batch * r.sequence * r.hidden;  // A·B·S·H
  const double network = r.networks * r.network_bandwidth;
  // Seconds that one byte of each parameter takes through a stage's network in a sum over the replicas; the
  // factors below are bytes.
  const double replicas = parameters(r) * (r.data - 1.0) / r.data / (r.pipeline * network);

  PaperStepTime time;
  // Equations 3 and 4 omit A here; the tables need it.
  time.parts[0] = flops(r) / (r.pipeline * r.tensor * r.flops);
  time.parts[1] = time.parts[0] * (r.pipeline - 1.0) / r.micro_batches;
  const double stage_factor = printed_in_appendix ? 4.0 : 8.0;
  time.parts[2] = stage_factor * values / (method_1 ? network : r.networks * r.link_bandwidth);
  if (method_1) {
    const double tensor_factor = printed_in_appendix ? 24.0 : r.lfa ? 64.0 : 48.0;
    time.parts[3] =
        tensor_factor * r.layers * (r.tensor - 1.0) / (r.pipeline * r.tensor * r.link_bandwidth) * values;
    time.parts[4] = 4.0 * replicas;
  } else {
    time.parts[3] = 8.0 * replicas;
    time.parts[4] = 4.0 * replicas;
  }
  return time;
}

}  // namespace headwater
