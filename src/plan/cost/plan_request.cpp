#include "headwater/plan/cost/plan_request.h"

namespace headwater {

RunSettings settings_on(const Cluster& cluster, const std::string& dtype, int threads) {
  return {.dtype = dtype, .threads = threads, .device = {cluster.device.kind, 0}};
}

}  // namespace headwater
