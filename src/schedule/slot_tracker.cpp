#include "slot_tracker.h"

#include "fault.h"

#include <algorithm>

namespace headwater {

SlotTracker::SlotTracker(const LoweredSchedule& lowered, ScheduleReport& report)
    : schedule_(lowered.source),
      peak_(report.held),
      held_(lowered.ranks.size(), 0),
      entries_(as_index(lowered.source.micro_batches * lowered.source.placement.stages())) {
  const auto chunks = as_index(schedule_.placement.chunks());
  const std::array peaks = {&report.in_flight, &report.kept_for_weights, &report.delayed_weights};
  report.held.assign(lowered.ranks.size(), 0);
  for (auto* peak : peaks) peak->assign(lowered.ranks.size(), std::vector<int>(chunks, 0));
  for (std::size_t rank = 0; rank < lowered.ranks.size(); ++rank) {
    auto& of_rank = chunks_.emplace_back(chunks);
    for (std::size_t life = 0; life < kLifetimes; ++life) {
      const std::vector<int>& count = lowered.ranks[rank].*kSlotLifetimes[life].count;
      if (count.size() != chunks)
        fail("a program names {}s of {} chunks where there are {}", kSlotLifetimes[life].name, count.size(),
             chunks);
      for (std::size_t chunk = 0; chunk < chunks; ++chunk)
        of_rank[chunk][life] = {std::vector<int>(as_index(count[chunk]), -1), 0,
                                &(*peaks[life])[rank][chunk]};
    }
  }
}

SlotTracker::Entry& SlotTracker::entry(const Action& action) {
  return entries_[as_index(action.micro_batch * schedule_.placement.stages() + action.stage)];
}

void SlotTracker::advance(Entry& entry, ActionKind kind) const {
  const Done needed = kind == ActionKind::forward           ? Done::nothing
                      : kind == ActionKind::weight_gradient ? Done::input_gradient
                                                            : Done::forward;
  if (entry.done > needed) fail("it has been computed before");
  if (entry.done < needed) fail("it comes too early");
  if (kind != ActionKind::forward && !schedule_.backward) fail("the schedule is forward only");
  entry.done = kind == ActionKind::forward          ? Done::forward
               : kind == ActionKind::input_gradient ? Done::input_gradient
                                                    : Done::all;
}

void SlotTracker::compute(int rank, const Instruction& instruction) {
  const Action& action = instruction.action;
  const Placement& placement = schedule_.placement;
  if (action.stage < 0 || action.stage >= placement.stages() || placement.rank_of(action.stage) != rank)
    fail("the stage does not lie on this rank");
  if (action.micro_batch < 0 || action.micro_batch >= schedule_.micro_batches)
    fail("there are {} micro-batches", schedule_.micro_batches);
  Entry& own = entry(action);
  advance(own, action.kind);

  int& held = held_[as_index(rank)];
  if (action.kind == ActionKind::forward) peak_[as_index(rank)] = std::max(peak_[as_index(rank)], ++held);
  if (own.done == finished()) --held;

  Chunk& chunk = chunks_[as_index(rank)][as_index(placement.chunk_of(action.stage))];
  for (std::size_t life = 0; life < kLifetimes; ++life) {
    const SlotLifetime& lifetime = kSlotLifetimes[life];
    Slots& slots = chunk[life];
    const int named = instruction.*lifetime.slot;
    int& taken = own.held[life];
    if (lifetime.begins_with(action.kind)) {
      if (named < 0 || named >= static_cast<int>(slots.holders.size()))
        fail("{} {} of {}", lifetime.name, named, slots.holders.size());
      int& holder = slots.holders[as_index(named)];
      if (holder != -1) fail("{} {} still belongs to micro-batch {}", lifetime.name, named, holder);
      holder = action.micro_batch;
      taken = named;
      *slots.peak = std::max(*slots.peak, ++slots.in_use);
    }
    if (named != taken) fail("it names {} {}, its micro-batch holds {}", lifetime.name, named, taken);
    if (taken >= 0 && lifetime.ends_with(action.kind, schedule_.backward)) {
      slots.holders[as_index(taken)] = -1;
      taken = -1;
      --slots.in_use;
    }
  }
}

void SlotTracker::check_complete() const {
  const int stages = schedule_.placement.stages();
  for (int m = 0; m < schedule_.micro_batches; ++m) {
    for (int stage = 0; stage < stages; ++stage) {
      const Done done = entries_[as_index(m * stages + stage)].done;
      if (done == finished()) continue;
      const ActionKind missing = done == Done::nothing   ? ActionKind::forward
                                 : done == Done::forward ? ActionKind::backward
                                                         : ActionKind::weight_gradient;
      fail("rank {} never computes the {}", schedule_.placement.rank_of(stage),
           describe(Action{missing, m, stage}));
    }
  }
}

}  // namespace headwater
