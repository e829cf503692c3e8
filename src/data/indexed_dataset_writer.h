#pragma once
// Writes PREFIX.bin and PREFIX.idx front to back in constant memory. Belongs to one thread.
//
// Everything is written to temporary names. finish() syncs both files, then renames the .bin and then the
// .idx, so that an index never stands beside tokens that are not its own. Without finish(), or if it fails,
// no file is left.

#include "headwater/base/file.h"
#include "headwater/data/indexed_dataset.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace headwater {

// Megatron's rule: uint16 for a vocabulary below 65500, else int32.
TokenType token_type_for(std::int64_t vocab_size);

class IndexedDatasetWriter {
 public:
  IndexedDatasetWriter(const std::string& prefix, TokenType type);  // uint16 or int32
  ~IndexedDatasetWriter();
  IndexedDatasetWriter(const IndexedDatasetWriter&) = delete;
  IndexedDatasetWriter& operator=(const IndexedDatasetWriter&) = delete;

  // Adds tokens to the open sequence. Where that reaches the format's limit of 2^31 − 1 tokens, the tokens
  // go on in a further sequence of the same document.
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
  // Parts of the index, kept on disk until write_index() copies them. Never committed, so they vanish.
  AtomicFile lengths_, document_ends_;
  std::vector<std::uint16_t> narrow_;
  std::int64_t sequences_ = 0, documents_ = 0, tokens_ = 0;
  std::int64_t open_tokens_ = 0;  // in the open sequence
  bool replacing_ = false, finished_ = false;
};

}  // namespace headwater
