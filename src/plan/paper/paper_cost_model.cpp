#include "headwater/plan/paper/paper_cost_model.h"

namespace headwater {
namespace {

// 8·16 for Yuan 2.0: forward, recomputation and twice backward of 16 H² weights per layer (those of LFA are
// not counted); 8·12 for GPT. Attention's share is printed as 1/(6H) in equations 1 and 3, where S/(6H) would
// be meant: Table 5 comes out by what is printed.
double flops(const PaperRun& r) {
  const double tokens = r.micro_batches * r.micro_batch * r.sequence;
  const double factor =
      r.lfa ? 128.0 * (1.0 + r.sequence / (8.0 * r.hidden)) : 96.0 * (1.0 + 1.0 / (6.0 * r.hidden));
  return factor * tokens * r.layers * r.hidden * r.hidden;
}

// The S of equations 2 and 4 stands where LFA's width H/2 is meant; for the 102B model they are the same.
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
  // Bytes that cross a stage's network in a reduction over the replicas: of gradients in bf16, say, 4·N·(Ds −
  // 1)/Ds.
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
