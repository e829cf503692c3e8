#pragma once
// A micro-batch as every pipeline stage takes it from the stream: tokens, labels, and the borders of
// documents, as int32 arrays of fixed size.
//
// T = B·S, and row b is [b·S, (b + 1)·S). A document begins at a sample's first token and after each eod
// token, which is the last token of its document. Attention and taps never reach from one sample into
// another.
//
// A batch is plain data that the caller owns. Any thread may call the functions.

#include "headwater/data/sample_stream.h"

#include <cstdint>
#include <span>
#include <vector>

namespace headwater {

inline constexpr std::int32_t kMaskedLabel = -1;

struct DocumentOptions {
  std::int64_t eod = -1;              // −1: unknown; then all switches below must be false (else UserError)
  bool reset_position_ids = false;    // positions restart at a document's first token
  bool reset_attention_mask = false;  // attention does not cross a document's start
  bool reset_lfa = false;             // the taps of localized filtering do not cross it either
  bool eod_mask_loss = false;         // no loss where the input token is an eod
};

struct Batch {
  std::int64_t batch_size = 0, seq_length = 0;  // B, S
  std::int64_t first_sample = 0;                // global number of row 0's sample; row b is first_sample + b
  std::vector<std::int32_t> tokens;             // [T]
  std::vector<std::int32_t> labels;             // [T], kMaskedLabel where there is no loss
  std::vector<std::int32_t> position;           // [T], from 0 at each sample's start
  std::vector<std::int32_t> attention_start;  // [T], index (within T) of the first token that attention sees
  std::vector<std::int32_t> lfa_start;        // [T], index of the first token that the taps see
  std::int64_t unmasked_targets() const;      // labels that are not masked
};

// Makes the batch of samples [first_sample, first_sample + batch_size) of the stream.
Batch make_batch(const SampleStream& stream, std::int64_t first_sample, std::int64_t batch_size,
                 const DocumentOptions& options);
// Makes a batch of given tokens and labels, both [B·S]. Labels may be kMaskedLabel; if `labels` is empty,
// all are.
Batch make_batch(std::span<const std::int32_t> tokens, std::span<const std::int32_t> labels,
                 std::int64_t batch_size, std::int64_t seq_length, const DocumentOptions& options);

}  // namespace headwater
