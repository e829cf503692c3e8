#include "headwater/schedule/schedule.h"

#include "headwater/config/pipeline_schedule.h"

namespace headwater {

Schedule make_schedule(std::string_view name, int ranks, int chunks, int micro_batches) {
  check_num_chunks(pipeline_schedule(name), chunks);
  if (name == "gpipe") return gpipe(ranks, micro_batches);
  if (name == "interleaved") return interleaved(ranks, chunks, micro_batches);
  if (name == "zb-h1") return zero_bubble_h1(ranks, micro_batches);
  if (name == "zb-v") return zero_bubble_v(ranks, micro_batches);
  return one_forward_one_backward(ranks, micro_batches);
}

}  // namespace headwater
