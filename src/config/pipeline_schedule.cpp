#include "headwater/config/pipeline_schedule.h"

#include "headwater/base/error.h"

#include <fmt/ranges.h>

#include <array>

namespace headwater {
namespace {

constexpr std::array kSchedules = {
    PipelineSchedule{"1f1b", 1, false, false},       PipelineSchedule{"gpipe", 1, false, false},
    PipelineSchedule{"interleaved", 2, true, false}, PipelineSchedule{"zb-h1", 1, false, false},
    PipelineSchedule{"zb-v", 2, false, true},
};

}  // namespace

std::vector<std::string> pipeline_schedule_names() {
  std::vector<std::string> names;
  for (const PipelineSchedule& schedule : kSchedules) names.emplace_back(schedule.name);
  return names;
}

const PipelineSchedule& pipeline_schedule(std::string_view name) {
  for (const PipelineSchedule& schedule : kSchedules)
    if (schedule.name == name) return schedule;
  throw UserError("parallel.pipeline_schedule: there is no schedule {}; it must be one of {}", name,
                  fmt::join(pipeline_schedule_names(), ", "));
}

void check_num_chunks(const PipelineSchedule& schedule, std::int64_t chunks) {
  if (schedule.any_chunks ? chunks < 1 : chunks != schedule.default_chunks)
    throw UserError("parallel.num_chunks is {}, but parallel.pipeline_schedule {} takes {}", chunks,
                    schedule.name,
                    schedule.any_chunks ? "1 or more" : std::to_string(schedule.default_chunks));
}

}  // namespace headwater
