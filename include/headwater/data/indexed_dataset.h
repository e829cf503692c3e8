#pragma once
// A Megatron indexed dataset, PREFIX.bin and PREFIX.idx, read through memory maps
// (docs/formats/indexed-dataset.md).
//
// An object owns its two maps, takes constant memory besides, and is immutable: any thread may call. Opening
// it checks the whole index, so that no later read can pass an end. Values of tokens are not checked here.

#include "headwater/base/file.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace headwater {

enum class TokenType : std::uint8_t { uint8 = 1, int8 = 2, int16 = 3, int32 = 4, int64 = 5, uint16 = 8 };

std::string_view name(TokenType type);  // "uint16"
std::int64_t bytes_per_token(TokenType type);

class IndexedDataset {
 public:
  // Throws UserError if a file is missing, cut, or of another format or version, or if its parts contradict
  // each other.
  explicit IndexedDataset(const std::string& prefix);

  const std::string& prefix() const { return prefix_; }
  TokenType type() const { return type_; }
  std::int64_t sequences() const { return sequences_; }
  std::int64_t documents() const { return documents_; }
  std::int64_t tokens() const { return tokens_; }

  std::int64_t sequence_length(std::int64_t sequence) const;
  // The first sequence and the first token of a document. For `document` = documents() they are the end of
  // the last.
  std::int64_t document_first_sequence(std::int64_t document) const;
  std::int64_t document_first_token(std::int64_t document) const;

  // Reads tokens [begin, begin + out.size()), counted over all sequences end to end. A value that int32
  // cannot hold is read as −1 into int32.
  void read(std::int64_t begin, std::span<std::int32_t> out) const;
  void read(std::int64_t begin, std::span<std::int64_t> out) const;

 private:
  void check_header();
  void check_sequences();
  void check_documents();

  std::string prefix_;
  MappedFile index_, data_;
  TokenType type_ = TokenType::uint16;
  std::int64_t sequences_ = 0, documents_ = 0, tokens_ = 0;
  // The length of the document index: documents + 1, or 1 if the writer never filled it.
  std::int64_t document_entries_ = 0;
};

}  // namespace headwater
