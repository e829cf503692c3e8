#pragma once
// A micro-batch as every pipeline stage takes it from the stream: tokens, labels, and the borders of
// documents as int32 arrays of fixed size. Plain data, owned by the caller; free functions, any thread.
//
// T = B*S; row b is [b*S, (b+1)*S). A document is the tokens up to and including its eod, so the token after
// an eod begins one; a sample's first token begins one too. Nothing reaches from one sample into another.

#include "headwater/data/sample_stream.h"

#include <cstdint>
#include <span>
#include <vector>

namespace headwater {

inline constexpr std::int32_t kMaskedLabel = -1;

struct DocumentOptions {
  std::int64_t eod = -1;              // -1: unknown; then every switch below must be false (else UserError)
  bool reset_position_ids = false;    // positions restart at a document's first token
  bool reset_attention_mask = false;  // attention does not cross a document's start
  bool reset_lfa = false;             // nor do the taps of localized filtering
  bool eod_mask_loss = false;         // no loss where the input token is an eod
};

struct Batch {
  std::int64_t batch_size = 0, seq_length = 0;  // B, S
  std::int64_t first_sample = 0;                // global number of row 0's sample; row b is first_sample + b
  std::vector<std::int32_t> tokens;             // [T]
  std::vector<std::int32_t> labels;             // [T], kMaskedLabel where there is no loss
  std::vector<std::int32_t> position;           // [T], from 0 at each sample's start
  std::vector<std::int32_t> attention_start;    // [T], index into the T axis of the first token in reach
  std::vector<std::int32_t> lfa_start;          // [T], the same for the taps
  std::int64_t unmasked_targets() const;
};

// Rows first_sample .. first_sample + batch_size - 1 of the stream.
Batch make_batch(const SampleStream& stream, std::int64_t first_sample, std::int64_t batch_size,
                 const DocumentOptions& options);
// From given inputs and labels, both [B*S]; labels may hold kMaskedLabel already, or be empty (all masked).
Batch make_batch(std::span<const std::int32_t> tokens, std::span<const std::int32_t> labels,
                 std::int64_t batch_size, std::int64_t seq_length, const DocumentOptions& options);

// How many targets of samples [first_sample, first_sample + count) carry loss, without building the batches.
// Reads the samples only where eod_mask_loss is set.
std::int64_t unmasked_targets(const SampleStream& stream, std::int64_t first_sample, std::int64_t count,
                              const DocumentOptions& options);

}  // namespace headwater
