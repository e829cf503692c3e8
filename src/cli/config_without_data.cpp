#include "config_without_data.h"

#include "headwater/config/load_config.h"

namespace headwater {

RunConfig config_without_data(RunConfig run, int steps) {
  validate(run, false);
  run.data = {};
  run.data.train = {{"random tokens"}};
  run.training.train_iters = steps;
  run.training.eval_interval = 0;
  run.optimizer.lr = 1e-4;
  run.optimizer.min_lr = 0.0;
  run.optimizer.lr_decay_style = "constant";
  validate(run);
  return run;
}

std::string dtype_on(const Cluster& cluster, const std::string& asked) {
  if (asked != "auto") return asked;
  return cluster.device.efficiency.contains("bf16") && cluster.device.peak_flops.contains("bf16") ? "bf16"
                                                                                                  : "fp32";
}

}  // namespace headwater
