#pragma once
// What holds for every generated schedule at every size, and the faults that the checker must find in each.

#include "headwater/base/error.h"
#include "headwater/schedule/checker.h"
#include "headwater/schedule/schedule_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace headwater::test {

// Returns every schedule that can be made of `ranks` ranks and `micro_batches` micro-batches, those that take
// any number of chunks with 1 to `most_chunks`, and the forward-only schedules of the same placements.
inline std::vector<Schedule> every_schedule(int ranks, int micro_batches, int most_chunks) {
  std::vector<Schedule> schedules;
  for (const ScheduleKind& kind : schedule_kinds()) {
    const int least = kind.takes_any_chunks() ? 1 : kind.default_chunks,
              most = kind.takes_any_chunks() ? most_chunks : kind.default_chunks;
    for (int chunks = least; chunks <= most; ++chunks)
      schedules.push_back(make_schedule(kind.name, ranks, chunks, micro_batches));
  }
  schedules.push_back(forward_only(Placement(ranks, 2, true), micro_batches));
  for (int chunks = 1; chunks <= most_chunks; ++chunks)
    schedules.push_back(forward_only(Placement(ranks, chunks), micro_batches));
  return schedules;
}

inline std::string name_of(const Schedule& schedule) {
  return schedule.name + ", " + std::to_string(schedule.placement.ranks()) + " ranks, " +
         std::to_string(schedule.placement.chunks()) + " chunks, " + std::to_string(schedule.micro_batches) +
         " micro-batches";
}

// Forwards, input gradients and weight gradients each take the micro-batches of a stage in order, so that no
// schedule changes the order in which weight gradients are summed.
inline bool in_order(const Schedule& schedule) {
  std::vector<std::vector<int>> next(
      4, std::vector<int>(static_cast<std::size_t>(schedule.placement.stages()), 0));
  for (const auto& actions : schedule.actions)
    for (const Action& action : actions)
      if (action.micro_batch !=
          next[static_cast<std::size_t>(action.kind)][static_cast<std::size_t>(action.stage)]++)
        return false;
  return true;
}

inline void prove(const Schedule& schedule, bool keeps_gradients) {
  const LoweredSchedule lowered = lower(schedule, keeps_gradients);
  const ScheduleReport report = check(lowered);
  ASSERT_EQ(report.fault, std::nullopt) << name_of(schedule);
  ASSERT_TRUE(in_order(schedule)) << name_of(schedule);
  for (std::size_t rank = 0; rank < lowered.ranks.size(); ++rank) {  // no slot without a use
    ASSERT_EQ(lowered.ranks[rank].slots, report.in_flight[rank]) << name_of(schedule);
    ASSERT_EQ(lowered.ranks[rank].weight_slots, report.kept_for_weights[rank]) << name_of(schedule);
    ASSERT_EQ(lowered.ranks[rank].delayed_slots, report.delayed_weights[rank]) << name_of(schedule);
  }
}

inline void prove(const Schedule& schedule) {
  for (const bool keeps_gradients : {false, true}) prove(schedule, keeps_gradients);
}

// Whether the schedule is refused, by the lowering or by the checker.
inline bool is_found(const Schedule& schedule) {
  try {
    return check(lower(schedule)).fault.has_value();
  } catch (const InternalError&) {
    return true;
  }
}

// One action of one rank, chosen by `seed`, is dropped, doubled, or changes places with the gradient of its
// own micro-batch and stage.
inline void expect_planted_faults_found(const Schedule& schedule, unsigned seed) {
  const std::size_t rank = seed % schedule.actions.size();
  const std::size_t index = seed * 7919 % schedule.actions[rank].size();
  const auto plant = [&](const char* what, const std::function<void(std::vector<Action>&)>& change) {
    Schedule changed = schedule;
    change(changed.actions[rank]);
    EXPECT_TRUE(is_found(changed)) << name_of(schedule) << ": rank " << rank << ", action " << index << " "
                                   << what;
  };
  const auto at = [&](std::vector<Action>& actions) {
    return actions.begin() + static_cast<std::ptrdiff_t>(index);
  };
  plant("dropped", [&](std::vector<Action>& actions) { actions.erase(at(actions)); });
  plant("doubled", [&](std::vector<Action>& actions) { actions.push_back(*at(actions)); });
  if (!schedule.backward) return;
  plant("swapped", [&](std::vector<Action>& actions) {
    const auto other = std::find_if(actions.begin(), actions.end(), [&](const Action& action) {
      return action.stage == at(actions)->stage && action.micro_batch == at(actions)->micro_batch &&
             action.kind != at(actions)->kind;
    });
    std::iter_swap(other, at(actions));
  });
}

}  // namespace headwater::test
