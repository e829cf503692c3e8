#include "headwater/plan/search/auto_layout.h"

#include "headwater/base/error.h"

#include "layer_search.h"
#include "simulate/shortage.h"

namespace headwater {

namespace {

int searched_ranks(const RankLayoutRequest& request, int ranks) {
  const ParallelConfig& parallel = request.parallel;
  return request.training
             ? ranks
             : static_cast<int>(parallel.tensor_model_parallel_size * parallel.pipeline_model_parallel_size);
}

PipelineLayout layers_found(const RankLayoutRequest& request, const std::string& dtype, int ranks) {
  const ParallelConfig& parallel = request.parallel;
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
      "devices of {}; in the fastest {}; headwater plan --search looks at other sizes",
      asked.cluster.name, shortages(*best).front().text);
}

}  // namespace

RankLayoutRequest with_layers_found(RankLayoutRequest request, const std::string& dtype, int ranks) {
  if (is_auto(request.parallel.pipeline_layout))
    request.parallel.pipeline_layout = layers_found(request, dtype, searched_ranks(request, ranks));
  return request;
}

}  // namespace headwater
