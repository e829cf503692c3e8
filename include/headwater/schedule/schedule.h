#pragma once
// A pipeline schedule is data: for each pipeline rank the list of what it computes, in order. A generator
// writes it, lower() adds the transfers, and three readers take that same lowered list: the executor runs it,
// the simulator times it, the checker proves it. Nothing here knows of time, memory sizes or communicators.
//
// Stages here are *virtual stages* 0 … V−1 in the order of the model (V = ranks × chunks); `Placement`
// says on which rank, and as which chunk of that rank, each lies.

#include "headwater/schedule/placement.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {

enum class ActionKind : std::uint8_t { forward, backward, input_gradient, weight_gradient };

// `backward` is input and weight gradient at once. The last virtual stage's head takes its gradients in
// forward.
struct Action {
  ActionKind kind = ActionKind::forward;
  int micro_batch = 0;
  int stage = 0;  // virtual stage
  bool operator==(const Action&) const = default;
};

struct Schedule {
  std::string name;
  Placement placement;
  int micro_batches = 0;
  bool backward = true;                      // false: evaluation, forward only
  std::vector<std::vector<Action>> actions;  // by rank, each in the order in which it computes
};

// Each generator has a file of its own, whose head says what the order is; docs/pipeline.md says what it
// costs. They take any number of micro-batches from 1. On every stage the weight gradients come in the order
// of the micro-batches, so that they are summed to the same bits whatever the schedule.
Schedule gpipe(int ranks, int micro_batches);
Schedule one_forward_one_backward(int ranks, int micro_batches);
Schedule interleaved(int ranks, int chunks, int micro_batches);
Schedule zero_bubble_h1(int ranks, int micro_batches);
Schedule zero_bubble_v(int ranks, int micro_batches);
Schedule v_half(int ranks, int micro_batches);
Schedule forward_only(const Placement& placement, int micro_batches);
// Makes the schedule that `parallel.pipeline_schedule` calls `name`, by its row in schedule_table.h. Throws
// UserError where there is no schedule of that name, or it cannot be made with `chunks` chunks on a rank.
Schedule make_schedule(std::string_view name, int ranks, int chunks, int micro_batches);

}  // namespace headwater
