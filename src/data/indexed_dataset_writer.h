#pragma once
// Writes PREFIX.bin and PREFIX.idx front to back in constant memory. One thread.
//
// Everything goes to temporary names; finish() syncs both files, renames the .bin, then the .idx, so that an
// index never stands beside tokens that are not its own. Without finish(), or where it fails, nothing is left
// behind.

#include "headwater/base/file.h"
#include "headwater/data/indexed_dataset.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace headwater {

TokenType token_type_for(std::int64_t vocab_size);  // uint16 below 65500, else int32: Megatron's rule

class IndexedDatasetWriter {
 public:
  IndexedDatasetWriter(const std::string& prefix, TokenType type);  // uint16 or int32
  ~IndexedDatasetWriter();
  IndexedDatasetWriter(const IndexedDatasetWriter&) = delete;
  IndexedDatasetWriter& operator=(const IndexedDatasetWriter&) = delete;

  // Tokens of the open sequence. One that would pass the format's 2^31 - 1 tokens goes on in a further
  // sequence of the same document.
  void append(std::span<const std::int32_t> tokens);
  void end_sequence();
  void end_document();
  void finish();

  std::int64_t sequences() const { return sequences_; }
  std::int64_t documents() const { return documents_; }
  std::int64_t tokens() const { return tokens_; }

 private:
  void write_index();

  TokenType type_;
  Path bin_path_, idx_path_;
  AtomicFile bin_, idx_;
  AtomicFile lengths_, document_ends_;  // spilled, never committed
  std::vector<std::uint16_t> narrow_;
  std::int64_t sequences_ = 0, documents_ = 0, tokens_ = 0;
  std::int64_t open_tokens_ = 0;  // of the open sequence
  bool replacing_ = false, finished_ = false;
};

}  // namespace headwater
