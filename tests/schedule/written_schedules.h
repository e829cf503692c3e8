#pragma once
// Schedules written by hand, so that lowering and checker are held to more than today's generators: several
// chunks, folded placement, gradients taken apart, and an order that floods its receiver.

#include "headwater/schedule/schedule.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace headwater {

// One text per rank: "F0/2" is the forward of micro-batch 0 on stage 2; B backward, I input gradient, W
// weight gradient.
inline Schedule written(Placement placement, int micro_batches, const std::vector<std::string>& ranks) {
  Schedule schedule{"written", placement, micro_batches, true, {}};
  for (const std::string& text : ranks) {
    auto& actions = schedule.actions.emplace_back();
    std::istringstream words(text);
    char kind = 0, slash = 0;
    for (Action action; words >> kind >> action.micro_batch >> slash >> action.stage;) {
      action.kind = kind == 'F'   ? ActionKind::forward
                    : kind == 'B' ? ActionKind::backward
                    : kind == 'I' ? ActionKind::input_gradient
                                  : ActionKind::weight_gradient;
      actions.push_back(action);
    }
    EXPECT_TRUE(words.eof()) << text;
  }
  return schedule;
}

// Interleaved 1F1B as Megatron-LM runs it: 2 ranks, 2 chunks, 4 micro-batches in groups of 2.
inline Schedule written_interleaved() {
  return written(Placement(2, 2), 4,
                 {"F0/0 F1/0 F0/2 F1/2 F2/0 B0/2 F3/0 B1/2 F2/2 B0/0 F3/2 B1/0 B2/2 B3/2 B2/0 B3/0",
                  "F0/1 F1/1 F0/3 B0/3 F1/3 B1/3 F2/1 B0/1 F3/1 B1/1 F2/3 B2/3 F3/3 B3/3 B2/1 B3/1"});
}

// In the manner of ZB-H1 (Qi et al., ICLR 2024): 1F1B's order, weight gradients moved to where a rank would
// be idle.
inline Schedule split_backward() {
  return written(Placement(3, 1), 4,
                 {"F0/0 F1/0 F2/0 I0/0 W0/0 F3/0 I1/0 W1/0 I2/0 W2/0 I3/0 W3/0",
                  "F0/1 F1/1 I0/1 F2/1 I1/1 W0/1 F3/1 I2/1 W1/1 I3/1 W2/1 W3/1",
                  "F0/2 I0/2 F1/2 I1/2 F2/2 I2/2 W0/2 F3/2 I3/2 W1/2 W2/2 W3/2"});
}

// In the manner of ZB-V: stages 0 and 3 on rank 0, stages 1 and 2 on rank 1, which hands over to itself.
inline Schedule folded() {
  return written(
      Placement(2, 2, true), 3,
      {"F0/0 F1/0 F0/3 I0/3 F2/0 F1/3 I1/3 W0/3 I0/0 F2/3 I2/3 W1/3 W0/0 I1/0 W2/3 W1/0 I2/0 W2/0",
       "F0/1 F0/2 F1/1 I0/2 F1/2 I0/1 F2/1 W0/2 I1/2 F2/2 I1/1 W0/1 I2/2 W1/2 I2/1 W1/1 W2/2 W2/1"});
}

// Two chunks that lie on the only rank: everything is handed over.
inline Schedule one_rank_two_chunks() {
  return written(Placement(1, 2), 2, {"F0/0 F1/0 F0/1 B0/1 F1/1 B1/1 B0/0 B1/0"});
}

// Rank 0 computes every forward before it takes a gradient, rank 1 alternates. With two send buffers on
// either side each would wait for the other for ever.
inline Schedule flooding(int micro_batches) {
  Schedule schedule = one_forward_one_backward(2, micro_batches);
  schedule.actions[0] = gpipe(1, micro_batches).actions[0];
  return schedule;
}

}  // namespace headwater
