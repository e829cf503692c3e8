#include "headwater/plan/auto_layout.h"

#include "headwater/base/error.h"
#include "headwater/plan/layer_search.h"
#include "headwater/plan/shortage.h"

namespace headwater {

PipelineLayout resolved_pipeline_layout(const RankLayoutRequest& request, const std::string& dtype,
                                        int ranks) {
  const ParallelConfig& parallel = request.parallel;
  if (!is_auto(parallel.pipeline_layout)) return parallel.pipeline_layout;
  PlanRequest asked;
  asked.layout = request;
  asked.layout.ramp.clear();
  asked.dtype = dtype;
  asked.cluster = parallel.cluster.empty() ? equal_devices(ranks) : read_cluster(parallel.cluster);
  asked.ranks = ranks;
  check_ranks(asked.cluster, ranks);
  const LayerSearchOptions options{.keep_recompute = true};
  if (const auto found = search_layers(asked, options)) return found->request.layout.parallel.pipeline_layout;

  const std::int64_t limit = asked.cluster.device.memory_bytes;
  asked.cluster.device.memory_bytes = 0;
  auto best = search_layers(asked, options);
  if (!best)
    throw UserError(
        "parallel.pipeline_layout is \"auto\", but no layout has {} layers for {} pipeline ranks and "
        "parallel.recompute as it is",
        request.model.layers.size(), parallel.pipeline_model_parallel_size);
  best->request.cluster.device.memory_bytes = limit;
  throw UserError(
      "parallel.pipeline_layout is \"auto\", but with parallel.recompute as it is no layout fits into the "
      "devices of "
      "{}; in the fastest {}; headwater plan --search looks at other sizes",
      asked.cluster.name, shortages(*best).front().text);
}

}  // namespace headwater
