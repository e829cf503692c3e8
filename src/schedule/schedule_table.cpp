#include "headwater/schedule/schedule_table.h"

#include "headwater/base/error.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace headwater {
namespace {

// The pipeline fills with forwards and drains with backwards, in steps of one chunk.
double fill_and_drain(const BubbleTerms& t) {
  return (t.ranks - 1) * (t.forward + t.input_gradient + t.weight_gradient) / t.chunks;
}

// It drains with input gradients, and weight gradients fill as much of the waiting as they can.
double drain_without_weights(const BubbleTerms& t) {
  return (t.ranks - 1) * std::max(0.0, t.forward + t.input_gradient - t.weight_gradient);
}

// The last rank waits for its first input, which comes down one chunk of each other rank, and for nothing
// else.
double first_input(const BubbleTerms& t) { return (t.ranks - 1) * t.forward / 2.0; }

// The last rank's first input gradient comes after 2P forwards and P − 1 input gradients of a chunk each, of
// which it computes the forwards that it may hold and waits for the others. After its last input gradient P −
// 1 more and a weight gradient follow on the ranks before it, while it computes two weight gradients.
double half_memory(const BubbleTerms& t) {
  const int held = 2 * (t.ranks / 2 + 1);
  return std::max(
      0.0,
      ((2 * t.ranks - held) * t.forward + 2 * (t.ranks - 1) * t.input_gradient - t.weight_gradient) / 2.0);
}

constexpr std::array kSchedules = {
    ScheduleKind{.name = "1f1b",
                 .description = "one forward and one backward in turn",
                 .default_chunks = 1,
                 .folded = false,
                 .generator = one_forward_one_backward,
                 .bubble = fill_and_drain},
    ScheduleKind{.name = "gpipe",
                 .description = "all forwards, then all backwards",
                 .default_chunks = 1,
                 .folded = false,
                 .generator = gpipe,
                 .bubble = fill_and_drain},
    ScheduleKind{.name = "interleaved",
                 .description = "1F1B over several chunks of each rank in turn",
                 .default_chunks = 2,
                 .folded = false,
                 .generator = interleaved,
                 .bubble = fill_and_drain},
    ScheduleKind{.name = "zb-h1",
                 .description = "1F1B whose weight gradients are put off to fill the bubble",
                 .default_chunks = 1,
                 .folded = false,
                 .generator = zero_bubble_h1,
                 .bubble = drain_without_weights},
    ScheduleKind{.name = "zb-v",
                 .description = "two chunks down and back up the ranks, almost no bubble, 1F1B's memory",
                 .default_chunks = 2,
                 .folded = true,
                 .generator = zero_bubble_v,
                 .bubble = first_input},
    ScheduleKind{.name = "v-half",
                 .description = "two chunks down and back up the ranks, half of 1F1B's bubble and memory",
                 .default_chunks = 2,
                 .folded = true,
                 .generator = v_half,
                 .bubble = half_memory},
};

}  // namespace

std::span<const ScheduleKind> schedule_kinds() { return kSchedules; }

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (const ScheduleKind& kind : kSchedules) names.emplace_back(kind.name);
  return names;
}

const ScheduleKind& schedule_kind(std::string_view name) {
  for (const ScheduleKind& kind : kSchedules)
    if (kind.name == name) return kind;
  throw UserError("parallel.pipeline_schedule: there is no schedule {}; it must be one of {}", name,
                  fmt::join(schedule_names(), ", "));
}

void check_num_chunks(const ScheduleKind& kind, std::int64_t chunks) {
  if (kind.takes_any_chunks() ? chunks < 1 : chunks != kind.default_chunks)
    throw UserError("parallel.num_chunks is {}, but parallel.pipeline_schedule {} takes {}", chunks,
                    kind.name, kind.takes_any_chunks() ? "1 or more" : std::to_string(kind.default_chunks));
}

Schedule make_schedule(std::string_view name, int ranks, int chunks, int micro_batches) {
  const ScheduleKind& kind = schedule_kind(name);
  check_num_chunks(kind, chunks);
  Schedule schedule = kind.generator(ranks, chunks, micro_batches);
  HW_CHECK(schedule.name == name && schedule.placement == Placement(ranks, chunks, kind.folded),
           "the generator of schedule {} writes {} on {} ranks of {} chunks{}, not what its row says", name,
           schedule.name, schedule.placement.ranks(), schedule.placement.chunks(),
           schedule.placement.folded() ? ", folded" : "");
  return schedule;
}

}  // namespace headwater
