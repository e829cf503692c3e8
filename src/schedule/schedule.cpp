#include "headwater/schedule/schedule.h"

#include "headwater/base/error.h"

#include <algorithm>
#include <array>

namespace headwater {

Schedule make_schedule(std::string_view name, int ranks, int chunks, int micro_batches) {
  if (name == "1f1b") {
    if (chunks != 1)
      throw UserError("parallel.num_chunks is {}, but parallel.pipeline_schedule 1f1b takes 1", chunks);
    return one_forward_one_backward(ranks, micro_batches);
  }
  constexpr std::array<std::string_view, 4> to_come = {"gpipe", "interleaved", "zb-h1", "zb-v"};
  if (std::find(to_come.begin(), to_come.end(), name) != to_come.end())
    throw UserError("parallel.pipeline_schedule: {} is not built yet; 1f1b is", name);
  throw UserError("parallel.pipeline_schedule: there is no schedule {}; 1f1b would be right", name);
}

}  // namespace headwater
