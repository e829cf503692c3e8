#include "headwater/schedule/schedule_table.h"

#include "headwater/base/error.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <set>
#include <type_traits>

namespace headwater {
namespace {

// A row that forgets its generator or its bubble does not compile.
static_assert(!std::is_default_constructible_v<ScheduleGenerator>);
static_assert(!std::is_constructible_v<ScheduleGenerator, std::nullptr_t>);
static_assert(!std::is_default_constructible_v<ScheduleKind>);

TEST(ScheduleTable, RowsAreUniqueAndDescribed) {
  std::set<std::string_view> names;
  for (const ScheduleKind& kind : schedule_kinds()) {
    EXPECT_TRUE(names.insert(kind.name).second) << kind.name;
    EXPECT_FALSE(kind.description.empty()) << kind.name;
    EXPECT_EQ(kind.description.find_first_of("|\n"), std::string::npos) << kind.name;
    EXPECT_GE(kind.default_chunks, 1) << kind.name;
  }
  EXPECT_EQ(schedule_names().size(), names.size());
}

TEST(ScheduleTable, EveryRowMakesTheScheduleThatItNames) {
  for (const ScheduleKind& kind : schedule_kinds()) {
    for (const int chunks : {1, 2, 3, kind.default_chunks}) {
      if (chunks != kind.default_chunks && !kind.takes_any_chunks()) continue;
      const Schedule schedule = make_schedule(kind.name, 3, chunks, 4);
      EXPECT_EQ(schedule.name, kind.name);
      EXPECT_EQ(schedule.placement, Placement(3, chunks, kind.folded)) << kind.name;
      EXPECT_EQ(schedule.micro_batches, 4) << kind.name;
    }
  }
}

std::string refusal(std::string_view name, int chunks) {
  try {
    make_schedule(name, 2, chunks, 4);
  } catch (const UserError& error) {
    return error.what();
  }
  return {};
}

TEST(ScheduleTable, RefusesAnUnknownName) {
  EXPECT_EQ(refusal("1f2b", 1),
            fmt::format("parallel.pipeline_schedule: there is no schedule 1f2b; it must be one of {}",
                        fmt::join(schedule_names(), ", ")));
}

TEST(ScheduleTable, RefusesOtherNumbersOfChunks) {
  EXPECT_EQ(refusal("1f1b", 2), "parallel.num_chunks is 2, but parallel.pipeline_schedule 1f1b takes 1");
  EXPECT_EQ(refusal("zb-v", 1), "parallel.num_chunks is 1, but parallel.pipeline_schedule zb-v takes 2");
  EXPECT_EQ(refusal("interleaved", 0),
            "parallel.num_chunks is 0, but parallel.pipeline_schedule interleaved takes 1 or more");
  for (const ScheduleKind& kind : schedule_kinds()) {
    EXPECT_NE(refusal(kind.name, 0), "") << kind.name;
    EXPECT_EQ(refusal(kind.name, kind.default_chunks), "") << kind.name;
    EXPECT_EQ(refusal(kind.name, kind.default_chunks + 1).empty(), kind.takes_any_chunks()) << kind.name;
  }
}

}  // namespace
}  // namespace headwater
