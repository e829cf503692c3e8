#pragma once
// The pipeline schedules by name, with what each says about the layout: how many chunks a pipeline rank
// holds, and whether the stages fold back over the ranks. One table for validation, layout and the schedules
// themselves.

#include "headwater/config/run_config.h"

#include <string>
#include <string_view>
#include <vector>

namespace headwater {

struct PipelineSchedule {
  std::string_view name;
  std::int64_t default_chunks;  // what num_chunks 0 stands for
  bool any_chunks;              // whether other counts will do too
  bool folded;                  // Placement's
};

std::vector<std::string> pipeline_schedule_names();
// Throws UserError naming the schedules there are.
const PipelineSchedule& pipeline_schedule(std::string_view name);
// Throws UserError where the schedule does not take so many chunks.
void check_num_chunks(const PipelineSchedule& schedule, std::int64_t chunks);

}  // namespace headwater
