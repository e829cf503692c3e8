#pragma once
// The one table of pipeline schedules, a row for each value of parallel.pipeline_schedule: how many chunks it
// takes, how its stages lie on the ranks, who writes it and what it costs. Validation, the placement of
// stages, the search, help, docs/config-reference.md and the tests are loops over it, so that a new schedule
// is its generator's file, the generator's declaration in schedule.h and its row in schedule_table.cpp.

#include "headwater/schedule/schedule.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {

// A generator is a function that writes the lists of all ranks. One that takes the number of chunks is that
// of a schedule with any number of them. A ScheduleGenerator cannot be made without a function, so that no
// row goes without.
class ScheduleGenerator {
 public:
  using FixedChunks = Schedule (*)(int ranks, int micro_batches);
  using AnyChunks = Schedule (*)(int ranks, int chunks, int micro_batches);
  constexpr ScheduleGenerator(FixedChunks make) : fixed_chunks_(make) {}
  constexpr ScheduleGenerator(AnyChunks make) : any_chunks_(make) {}

  constexpr bool takes_any_chunks() const { return any_chunks_ != nullptr; }
  Schedule operator()(int ranks, int chunks, int micro_batches) const {
    return takes_any_chunks() ? any_chunks_(ranks, chunks, micro_batches)
                              : fixed_chunks_(ranks, micro_batches);
  }

 private:
  FixedChunks fixed_chunks_ = nullptr;
  AnyChunks any_chunks_ = nullptr;
};

// A bubble depends on these. Times are those of all layers of a rank for one micro-batch, in any unit.
struct BubbleTerms {
  int ranks = 1, chunks = 1;  // P, and the chunks of each rank
  double forward = 0.0, input_gradient = 0.0, weight_gradient = 0.0;
};

struct ScheduleKind {
  std::string_view name;
  std::string_view description;  // one line, for help
  int default_chunks;            // the chunks of a rank where parallel.num_chunks is 0
  bool folded;                   // as Placement says
  ScheduleGenerator generator;
  // Returns what a step takes longer than its arithmetic, in the unit of the terms, with equal stages, free
  // links and as many micro-batches as docs/pipeline.md says that the formula needs. It is a reference, so
  // that no row goes without.
  double (&bubble)(const BubbleTerms& terms);

  bool takes_any_chunks() const { return generator.takes_any_chunks(); }
};

// All rows, in the order in which they are listed for people.
std::span<const ScheduleKind> schedule_kinds();
std::vector<std::string> schedule_names();
// Throws UserError where there is no schedule of that name, naming those there are.
const ScheduleKind& schedule_kind(std::string_view name);
// Throws UserError where `kind` cannot be made with `chunks` chunks on a rank.
void check_num_chunks(const ScheduleKind& kind, std::int64_t chunks);

}  // namespace headwater
