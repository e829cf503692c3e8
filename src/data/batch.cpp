#include "headwater/data/batch.h"

#include "headwater/base/error.h"

#include <algorithm>
#include <limits>

namespace headwater {
namespace {

void check_options(const DocumentOptions& options) {
  if (options.eod >= 0) return;
  const auto refuse = [](const char* key) {
    throw UserError("{} is set, but no end of document is known: set data.eod or data.tokenizer", key);
  };
  if (options.reset_position_ids) refuse("data.reset_position_ids");
  if (options.reset_attention_mask) refuse("data.reset_attention_mask");
  if (options.reset_lfa) refuse("data.reset_lfa");
  if (options.eod_mask_loss) refuse("data.eod_mask_loss");
}

// Fills positions, starts and masked labels of one sample, whose tokens and labels are in the batch already.
void mark_documents(Batch& batch, std::int64_t row, const DocumentOptions& options) {
  const auto first = static_cast<std::int32_t>(row * batch.seq_length);
  const auto end = static_cast<std::int32_t>(first + batch.seq_length);
  std::int32_t document = first;
  for (std::int32_t i = first; i < end; ++i) {
    const auto t = static_cast<std::size_t>(i);
    if (i > first && batch.tokens[t - 1] == options.eod) document = i;
    batch.position[t] = i - (options.reset_position_ids ? document : first);
    batch.attention_start[t] = options.reset_attention_mask ? document : first;
    batch.lfa_start[t] = options.reset_lfa ? document : first;
    if (options.eod_mask_loss && batch.tokens[t] == options.eod) batch.labels[t] = kMaskedLabel;
  }
}

Batch empty_batch(std::int64_t batch_size, std::int64_t seq_length) {
  HW_CHECK(batch_size >= 1 && seq_length >= 1 &&
               batch_size <= std::numeric_limits<std::int32_t>::max() / seq_length,
           "micro-batch of {} samples of {} tokens", batch_size, seq_length);
  Batch batch;
  batch.batch_size = batch_size;
  batch.seq_length = seq_length;
  const auto tokens = static_cast<std::size_t>(batch_size * seq_length);
  for (auto* array : {&batch.tokens, &batch.position, &batch.attention_start, &batch.lfa_start})
    array->resize(tokens);
  batch.labels.assign(tokens, kMaskedLabel);
  return batch;
}

}  // namespace

std::int64_t Batch::unmasked_targets() const {
  return std::count_if(labels.begin(), labels.end(),
                       [](std::int32_t label) { return label != kMaskedLabel; });
}

Batch make_batch(const SampleStream& stream, std::int64_t first_sample, std::int64_t batch_size,
                 const DocumentOptions& options) {
  check_options(options);
  Batch batch = empty_batch(batch_size, stream.seq_length());
  batch.first_sample = first_sample;
  std::vector<std::int32_t> sample(static_cast<std::size_t>(stream.seq_length() + 1));
  for (std::int64_t row = 0; row < batch_size; ++row) {
    stream.get(first_sample + row, sample);
    const std::int64_t at = row * stream.seq_length();
    std::copy(sample.begin(), sample.end() - 1, batch.tokens.begin() + at);
    std::copy(sample.begin() + 1, sample.end(), batch.labels.begin() + at);
    mark_documents(batch, row, options);
  }
  return batch;
}

Batch make_batch(std::span<const std::int32_t> tokens, std::span<const std::int32_t> labels,
                 std::int64_t batch_size, std::int64_t seq_length, const DocumentOptions& options) {
  check_options(options);
  Batch batch = empty_batch(batch_size, seq_length);
  HW_CHECK(tokens.size() == batch.tokens.size() && (labels.empty() || labels.size() == tokens.size()),
           "{} tokens and {} labels for a batch of {} times {}", tokens.size(), labels.size(), batch_size,
           seq_length);
  std::copy(tokens.begin(), tokens.end(), batch.tokens.begin());
  std::copy(labels.begin(), labels.end(), batch.labels.begin());
  for (std::int64_t row = 0; row < batch_size; ++row) mark_documents(batch, row, options);
  return batch;
}

}  // namespace headwater
