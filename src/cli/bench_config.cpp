#include "bench_config.h"

#include "config_without_data.h"

#include "headwater/config/presets.h"

namespace headwater {

RunConfig bench_config(const std::string& file, const std::vector<std::string>& overrides, int steps) {
  LoadedConfig config = load_config(file, overrides);
  RunConfig& run = config.run;
  if (!config.section_given("model")) run.model = preset("yuan2-small");
  if (!config.given("training.micro_batch_size")) run.training.micro_batch_size = 4;
  if (!config.given("training.seq_length")) run.training.seq_length = 256;
  return config_without_data(run, steps);
}

}  // namespace headwater
