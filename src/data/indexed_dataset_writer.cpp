#include "indexed_dataset_writer.h"

#include "headwater/base/error.h"

#include "index_format.h"
#include "input_file.h"

#include <limits>
#include <system_error>

namespace headwater {
namespace {

// Calls `visit` with every value of an array that was written to `file`, in order.
template <class T, class Visit>
void for_each_spilled(AtomicFile& file, const Visit& visit) {
  file.out().flush();
  InputFile in(file.out().path());
  std::vector<T> block(std::size_t{1} << 14);
  for (;;) {
    const std::size_t bytes = in.read({reinterpret_cast<char*>(block.data()), block.size() * sizeof(T)});
    for (std::size_t i = 0; i < bytes / sizeof(T); ++i) visit(block[i]);
    if (bytes < block.size() * sizeof(T)) return;
  }
}

}  // namespace

TokenType token_type_for(std::int64_t vocab_size) {
  return vocab_size < 65500 ? TokenType::uint16 : TokenType::int32;
}

IndexedDatasetWriter::IndexedDatasetWriter(const std::string& prefix, TokenType type)
    : type_(type),
      bin_path_(prefix + ".bin"),
      idx_path_(prefix + ".idx"),
      bin_(bin_path_),
      idx_(idx_path_),
      lengths_(prefix + ".idx.lengths"),
      document_ends_(prefix + ".idx.documents") {
  HW_CHECK(type == TokenType::uint16 || type == TokenType::int32, "datasets are written as uint16 or int32");
}

IndexedDatasetWriter::~IndexedDatasetWriter() {
  if (!replacing_ || finished_) return;
  std::error_code ignored;
  std::filesystem::remove(bin_path_, ignored);
  std::filesystem::remove(idx_path_, ignored);
}

void IndexedDatasetWriter::append(std::span<const std::int32_t> tokens) {
  while (!tokens.empty()) {
    const std::int64_t room = std::numeric_limits<std::int32_t>::max() - open_tokens_;
    if (room == 0) {
      end_sequence();
      continue;
    }
    const auto part =
        tokens.first(static_cast<std::size_t>(std::min<std::int64_t>(room, std::ssize(tokens))));
    if (type_ == TokenType::int32) {
      bin_.out().write(std::as_bytes(part));
    } else {
      narrow_.assign(part.begin(), part.end());
      bin_.out().write(std::as_bytes(std::span(narrow_)));
    }
    open_tokens_ += std::ssize(part);
    tokens_ += std::ssize(part);
    tokens = tokens.subspan(part.size());
  }
}

void IndexedDatasetWriter::end_sequence() {
  lengths_.out().write_value(static_cast<std::int32_t>(open_tokens_));
  open_tokens_ = 0;
  ++sequences_;
}

void IndexedDatasetWriter::end_document() {
  document_ends_.out().write_value(sequences_);
  ++documents_;
}

void IndexedDatasetWriter::write_index() {
  OutputFile& out = idx_.out();
  out.write(kIndexMagic);
  out.write_value(kIndexVersion);
  out.write_value(static_cast<std::uint8_t>(type_));
  out.write_value(static_cast<std::uint64_t>(sequences_));
  out.write_value(static_cast<std::uint64_t>(documents_ + 1));
  for_each_spilled<std::int32_t>(lengths_, [&](std::int32_t length) { out.write_value(length); });
  std::int64_t pointer = 0;
  for_each_spilled<std::int32_t>(lengths_, [&](std::int32_t length) {
    out.write_value(pointer);
    pointer += length * bytes_per_token(type_);
  });
  out.write_value(std::int64_t{0});
  for_each_spilled<std::int64_t>(document_ends_, [&](std::int64_t end) { out.write_value(end); });
}

void IndexedDatasetWriter::finish() {
  HW_CHECK(open_tokens_ == 0 && !finished_, "{} tokens of an open sequence", open_tokens_);
  write_index();
  // Everything that needs disk space is written before an older dataset of this name is touched.
  bin_.out().sync();
  idx_.out().sync();
  replacing_ = true;
  std::error_code error;
  std::filesystem::remove(idx_path_, error);
  if (error) throw_errno(error.value(), "replace", idx_path_.native());
  bin_.commit();
  idx_.commit();
  finished_ = true;
}

}  // namespace headwater
