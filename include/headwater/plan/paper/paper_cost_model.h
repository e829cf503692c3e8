#pragma once
// The step time of Yuan 2.0's paper (IEIT, 2023; section 3.4 and appendix C), by its formulas as printed and
// in its letters. The formulas know neither stages that differ nor the head, the optimizer or overlap, all of
// which Headwater's own cost model and simulator know. They are here to compute the paper's tables, and to
// compare them with ours.

#include <array>

namespace headwater {

struct PaperRun {
  double layers = 0, hidden = 0, sequence = 0, vocabulary = 0;  // L, H, S, V
  bool lfa = true;           // Yuan 2.0 (equations 2 and 4); false: GPT, LLaMA, Yuan 1.0 (1 and 3)
  double micro_batches = 0;  // A, per step and replica
  double micro_batch = 0;    // B, samples
  double pipeline = 1, tensor = 1, data = 1;  // Ps, Ts, Ds
  double flops = 0;                           // F, FLOP/s of one device, as a similar smaller model reaches
  double networks = 1;                        // n_net, network ports of a node
  double network_bandwidth = 0;               // BW_net, bytes/s of one port
  double link_bandwidth = 0;                  // BW_link, bytes/s of a device's link inside a node
};

// Appendix C prints smaller factors for what is sent between stages (4 for 8) and between tensor ranks (24
// for 48) than equation 1 does.
enum class PaperConstants { equations, appendix_c };

struct PaperStepTime {
  // Seconds. T0 compute, T1 bubble, T2 pipeline. With tensor ranks ("method 1") T3 tensor ranks, T4
  // gradients; without ("method 2", whose optimizer is sharded) T3 gradients, T4 parameters.
  std::array<double, 5> parts{};
  double total() const { return parts[0] + parts[1] + parts[2] + parts[3] + parts[4]; }
};

// Takes method 1 where there are tensor ranks, else method 2.
PaperStepTime paper_step_time(const PaperRun& run, PaperConstants constants = PaperConstants::equations);

}  // namespace headwater
