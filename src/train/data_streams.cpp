#include "headwater/train/data_streams.h"

namespace headwater {
namespace {

SampleStream open(const RunConfig& run, const std::vector<WeightedPrefix>& prefixes, int part, bool shuffle,
                  std::int64_t sequence) {
  const DataConfig& data = run.data;
  SampleStreamOptions options;
  for (const WeightedPrefix& source : prefixes) options.sources.push_back({source.prefix, source.weight});
  if (!data.split.empty() && data.validation.empty())
    options.split = DatasetSplit{{data.split[0], data.split[1], data.split[2]}, part};
  options.seq_length = sequence;
  options.vocab_size = run.model.vocab_size;
  options.seed = static_cast<std::uint64_t>(run.training.seed);
  options.shuffle = shuffle;
  return SampleStream(options);
}

}  // namespace

SampleStream training_stream(const RunConfig& run) {
  return open(run, run.data.train, 0, run.data.shuffle, run.training.seq_length);
}

std::optional<SampleStream> validation_stream(const RunConfig& run, std::int64_t sequence) {
  const DataConfig& data = run.data;
  if (!data.validation.empty()) return open(run, data.validation, 1, false, sequence);
  if (!data.split.empty() && data.split[1] > 0.0) return open(run, data.train, 1, false, sequence);
  return {};
}

DocumentOptions document_options(const DataConfig& data) {
  return {data.eod, data.reset_position_ids, data.reset_attention_mask, data.reset_lfa, data.eod_mask_loss};
}

}  // namespace headwater
