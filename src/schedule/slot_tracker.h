#pragma once
// The checker's record of what has been computed and of who holds which slot. It sees that every
// (micro-batch, stage) is computed once in each direction and in a possible order, each in its own slots, and
// that no slot is written while it is in use; and it counts the slots in use.

#include "headwater/schedule/checker.h"
#include "headwater/schedule/slot_lifetime.h"

#include <vector>

namespace headwater {

class SlotTracker {
 public:
  // Writes the peaks into `report`. The programs must name the slots of every chunk.
  SlotTracker(const LoweredSchedule& lowered, ScheduleReport& report);

  // Takes the next compute of `rank`. Throws ScheduleFault where it is not possible now.
  void compute(int rank, const Instruction& instruction);
  // Throws ScheduleFault where a micro-batch has not been computed to its end on a stage.
  void check_complete() const;

 private:
  static constexpr std::size_t kLifetimes = kSlotLifetimes.size();
  enum class Done : std::uint8_t { nothing, forward, input_gradient, all };
  struct Entry {  // one micro-batch on one stage
    Done done = Done::nothing;
    std::array<int, kLifetimes> held = {-1, -1, -1};
  };
  struct Slots {               // all slots of one lifetime of one chunk
    std::vector<int> holders;  // by slot: the micro-batch that holds it, −1: free
    int in_use = 0;
    int* peak = nullptr;  // in the report
  };
  using Chunk = std::array<Slots, kLifetimes>;

  static std::size_t as_index(int i) { return static_cast<std::size_t>(i); }
  Done finished() const { return schedule_.backward ? Done::all : Done::forward; }
  Entry& entry(const Action& action);
  void advance(Entry& entry, ActionKind kind) const;

  const Schedule& schedule_;
  std::vector<int>& peak_;                  // [rank], the report's
  std::vector<int> held_;                   // [rank]
  std::vector<std::vector<Chunk>> chunks_;  // [rank][chunk]
  std::vector<Entry> entries_;              // [micro-batch · stages + stage]
};

}  // namespace headwater
