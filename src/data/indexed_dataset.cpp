#include "headwater/data/indexed_dataset.h"

#include "headwater/base/error.h"
#include "headwater/base/log.h"
#include "index_format.h"

#include <cstring>
#include <limits>

namespace headwater {
namespace {

// Reads a T at `offset`, which need not be aligned: the arrays of the format begin at odd offsets.
template <class T>
T load(std::span<const std::byte> bytes, std::int64_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

MappedFile open_part(const std::string& prefix, std::string_view extension) {
  const Path path = prefix + std::string(extension);
  if (!std::filesystem::exists(path))
    throw UserError("dataset {}: {} does not exist (a dataset is named by its path without .bin or .idx)",
                    prefix, path.native());
  return MappedFile(path);
}

template <class Stored, class Value>
void read_as(std::span<const std::byte> bytes, std::int64_t begin, std::span<Value> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto value =
        load<Stored>(bytes, (begin + static_cast<std::int64_t>(i)) * std::int64_t{sizeof(Stored)});
    if constexpr (sizeof(Stored) > sizeof(Value))
      out[i] = value < 0 || value > std::numeric_limits<Value>::max() ? Value{-1} : static_cast<Value>(value);
    else
      out[i] = value;
  }
}

template <class Value>
void read_type(TokenType type, std::span<const std::byte> bytes, std::int64_t begin, std::span<Value> out) {
  switch (type) {
    case TokenType::uint8: return read_as<std::uint8_t>(bytes, begin, out);
    case TokenType::int8: return read_as<std::int8_t>(bytes, begin, out);
    case TokenType::int16: return read_as<std::int16_t>(bytes, begin, out);
    case TokenType::int32: return read_as<std::int32_t>(bytes, begin, out);
    case TokenType::int64: return read_as<std::int64_t>(bytes, begin, out);
    case TokenType::uint16: return read_as<std::uint16_t>(bytes, begin, out);
  }
}

}  // namespace

std::string_view name(TokenType type) {
  switch (type) {
    case TokenType::uint8: return "uint8";
    case TokenType::int8: return "int8";
    case TokenType::int16: return "int16";
    case TokenType::int32: return "int32";
    case TokenType::int64: return "int64";
    case TokenType::uint16: return "uint16";
  }
  return "?";
}

std::int64_t bytes_per_token(TokenType type) {
  switch (type) {
    case TokenType::uint8:
    case TokenType::int8: return 1;
    case TokenType::int16:
    case TokenType::uint16: return 2;
    case TokenType::int32: return 4;
    case TokenType::int64: return 8;
  }
  return 0;
}

IndexedDataset::IndexedDataset(const std::string& prefix)
    : prefix_(prefix), index_(open_part(prefix, ".idx")), data_(open_part(prefix, ".bin")) {
  check_header();
  check_sequences();
  check_documents();
}

void IndexedDataset::check_header() {
  const std::string& path = index_.path().native();
  const auto bytes = index_.bytes();
  const auto size = static_cast<std::int64_t>(bytes.size());
  const std::size_t magic_bytes = std::min(bytes.size(), kIndexMagic.size());
  if (magic_bytes > 0 && std::memcmp(bytes.data(), kIndexMagic.data(), magic_bytes) != 0)
    throw UserError("{} is no Megatron index: it does not begin with MMIDIDX", path);
  if (size < kIndexHeaderBytes)
    throw UserError("{} is cut: it has {} bytes, its header alone takes {}", path, size, kIndexHeaderBytes);
  if (const auto version = load<std::uint64_t>(bytes, kIndexVersionAt); version != kIndexVersion)
    throw UserError("{} has version {} of the format; {} can be read", path, version, kIndexVersion);
  const auto code = load<std::uint8_t>(bytes, kIndexTypeAt);
  if (code < 1 || code > 8 || code == 6 || code == 7)
    throw UserError(
        "{} has element type {}; tokens are of type 1 (uint8), 2 (int8), 3 (int16), 4 (int32), 5 (int64) "
        "or 8 (uint16)",
        path, code);
  type_ = static_cast<TokenType>(code);

  const auto sequences = load<std::uint64_t>(bytes, kIndexSequencesAt);
  const auto entries = load<std::uint64_t>(bytes, kIndexDocumentsAt);
  constexpr std::uint64_t kMost = std::uint64_t{1} << 56;  // keeps the sum below from overflowing
  if (sequences > kMost || entries > kMost)
    throw UserError("{} claims {} sequences and {} document entries; it is damaged", path, sequences,
                    entries);
  sequences_ = static_cast<std::int64_t>(sequences);
  document_entries_ = static_cast<std::int64_t>(entries);
  const std::int64_t expected = kIndexHeaderBytes + 12 * sequences_ + 8 * document_entries_;
  if (size < expected)
    throw UserError("{} is cut: it has {} bytes, {} sequences and {} document entries take {}", path, size,
                    sequences_, document_entries_, expected);
  // Megatron's multimodal datasets have one more byte per sequence, its mode.
  if (size != expected && size != expected + sequences_)
    throw UserError("{} has {} bytes; {} sequences and {} document entries take {}, or {} with modes", path,
                    size, sequences_, document_entries_, expected, expected + sequences_);
}

void IndexedDataset::check_sequences() {
  const std::string& path = index_.path().native();
  const std::int64_t width = bytes_per_token(type_);
  for (std::int64_t i = 0; i < sequences_; ++i) {
    const std::int64_t length = sequence_length(i);
    if (length < 0) throw UserError("{} gives sequence {} the length {}; it is damaged", path, i, length);
    const auto pointer = load<std::int64_t>(index_.bytes(), kIndexHeaderBytes + 4 * sequences_ + 8 * i);
    if (pointer != tokens_ * width)
      throw UserError("{} puts sequence {} at byte {}; the sequences before it end at byte {}", path, i,
                      pointer, tokens_ * width);
    tokens_ += length;
  }
  const auto size = static_cast<std::int64_t>(data_.size());
  if (size < tokens_ * width)
    throw UserError("{} is cut: it has {} bytes, its index describes {} tokens of type {}, {} bytes",
                    data_.path().native(), size, tokens_, name(type_), tokens_ * width);
  if (size > tokens_ * width)
    log::warning("{} has {} bytes, its index describes only {}", data_.path().native(), size,
                 tokens_ * width);
}

void IndexedDataset::check_documents() {
  const std::string& path = index_.path().native();
  if (document_entries_ == 0) throw UserError("{} has an empty document index; it begins with 0", path);
  const std::int64_t at = kIndexHeaderBytes + 12 * sequences_;
  std::int64_t before = 0;
  for (std::int64_t i = 0; i < document_entries_; ++i) {
    const auto entry = load<std::int64_t>(index_.bytes(), at + 8 * i);
    if (i == 0 && entry != 0) throw UserError("{} begins its document index with {}, not 0", path, entry);
    if (entry < before || entry > sequences_)
      throw UserError("{} begins document {} at sequence {}, after one at {}, of {} sequences", path, i,
                      entry, before, sequences_);
    before = entry;
  }
  // Writers that never close a document (Yuan 2.0's) write the first entry only. Each sequence is a document
  // then.
  if (document_entries_ == 1) {
    documents_ = sequences_;
    return;
  }
  documents_ = document_entries_ - 1;
  if (before != sequences_)
    throw UserError("{} ends its last document at sequence {} of {}", path, before, sequences_);
}

std::int64_t IndexedDataset::sequence_length(std::int64_t sequence) const {
  return load<std::int32_t>(index_.bytes(), kIndexHeaderBytes + 4 * sequence);
}

std::int64_t IndexedDataset::document_first_sequence(std::int64_t document) const {
  HW_CHECK(document >= 0 && document <= documents_, "document {} of {}", document, documents_);
  if (document_entries_ == 1) return document;
  return load<std::int64_t>(index_.bytes(), kIndexHeaderBytes + 12 * sequences_ + 8 * document);
}

std::int64_t IndexedDataset::document_first_token(std::int64_t document) const {
  const std::int64_t sequence = document_first_sequence(document);
  if (sequence == sequences_) return tokens_;
  const auto pointer = load<std::int64_t>(index_.bytes(), kIndexHeaderBytes + 4 * sequences_ + 8 * sequence);
  return pointer / bytes_per_token(type_);
}

void IndexedDataset::read(std::int64_t begin, std::span<std::int32_t> out) const {
  HW_CHECK(begin >= 0 && begin + std::ssize(out) <= tokens_, "tokens from {}, {} of {}", begin, out.size(),
           tokens_);
  read_type(type_, data_.bytes(), begin, out);
}

void IndexedDataset::read(std::int64_t begin, std::span<std::int64_t> out) const {
  HW_CHECK(begin >= 0 && begin + std::ssize(out) <= tokens_, "tokens from {}, {} of {}", begin, out.size(),
           tokens_);
  read_type(type_, data_.bytes(), begin, out);
}

}  // namespace headwater
