#include "corpus.h"

#include "headwater/base/error.h"

#include "utf8.h"

#include <algorithm>

namespace headwater {
namespace {

CorpusFile corpus_file(const Path& path) {
  return {path, static_cast<std::int64_t>(std::filesystem::file_size(path)), path.extension() == ".jsonl"};
}

void list_folder(const Path& folder, std::vector<CorpusFile>& files) {
  std::vector<Path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const Path& path : paths) files.push_back(corpus_file(path));
}

bool is_utf8_file(const Path& path) {
  InputFile in(path);
  std::string block;
  for (;;) {
    const std::size_t kept = block.size();  // the block before may have ended within a character
    block.resize(kLeastChunk);
    block.resize(kept + in.read(std::span(block).subspan(kept)));
    const bool last = block.size() < kLeastChunk;
    const std::size_t end = last ? block.size() : character_boundary(block, block.size() - 1);
    if (first_invalid_utf8(std::string_view(block).substr(0, end)) != kValid) return false;
    if (last) return true;
    block.erase(0, end);
  }
}

}  // namespace

std::vector<CorpusFile> list_corpus(const std::vector<std::string>& inputs) {
  if (inputs.empty())
    throw UserError("no text was given; an input is a text file, a .jsonl file or a folder");
  std::vector<CorpusFile> files;
  for (const std::string& input : inputs) {
    try {
      if (std::filesystem::is_directory(input))
        list_folder(input, files);
      else if (std::filesystem::is_regular_file(input))
        files.push_back(corpus_file(input));
      else if (std::filesystem::exists(input))
        throw UserError("input {} is neither a file nor a folder", input);
      else
        throw UserError("input {} does not exist", input);
    } catch (const std::filesystem::filesystem_error& error) {
      throw_errno(error.code().value(), "read", error.path1().empty() ? input : error.path1().native());
    }
  }
  return files;
}

std::int64_t total_bytes(const std::vector<CorpusFile>& files) {
  std::int64_t sum = 0;
  for (const CorpusFile& file : files) sum += file.bytes;
  return sum;
}

CorpusReader::CorpusReader(const std::vector<CorpusFile>& files, bool skip_invalid)
    : files_(files), skip_invalid_(skip_invalid) {}

void CorpusReader::open(const CorpusFile& file) {
  in_.emplace(file.path);
  buffer_.clear();
  at_end_ = false;
  first_byte_ = 0;
  first_line_ = 1;
}

// Reads until the buffer holds more than `bytes` bytes, or the rest of the file.
void CorpusReader::fill(std::size_t bytes) {
  if (at_end_ || buffer_.size() > bytes) return;
  const std::size_t before = buffer_.size();
  buffer_.resize(bytes + 1);
  const std::size_t count = in_->read(std::span(buffer_).subspan(before));
  at_end_ = before + count < buffer_.size();
  buffer_.resize(before + count);
}

CorpusPiece CorpusReader::cut(std::size_t length) {
  CorpusPiece piece;
  piece.file = &files_[file_];
  piece.first_byte = first_byte_;
  piece.first_line = first_line_;
  piece.text = buffer_.substr(0, length);
  buffer_.erase(0, length);
  first_byte_ += static_cast<std::int64_t>(length);
  if (at_end_ && buffer_.empty()) {
    piece.ends_document = true;
    in_.reset();
    ++file_;
  }
  return piece;
}

std::optional<CorpusPiece> CorpusReader::next() {
  if (file_ == files_.size()) return std::nullopt;
  const CorpusFile& file = files_[file_];
  if (!in_) {
    if (skip_invalid_ && !file.jsonl && !is_utf8_file(file.path)) {
      CorpusPiece piece;
      piece.file = &file;
      piece.ends_document = piece.skipped = true;
      ++file_;
      return piece;
    }
    open(file);
  }
  fill(kMostChunk);
  if (!file.jsonl) return cut(chunk_length(buffer_, kLeastChunk, kMostChunk));

  // A piece of JSONL has whole lines only, however long one is.
  std::size_t searched = kLeastChunk - 1;
  std::size_t feed = buffer_.find('\n', searched);
  while (feed == std::string::npos && !at_end_) {
    searched = buffer_.size();
    fill(2 * buffer_.size());
    feed = buffer_.find('\n', searched);
  }
  CorpusPiece piece = cut(feed == std::string::npos ? buffer_.size() : feed + 1);
  first_line_ += std::count(piece.text.begin(), piece.text.end(), '\n');
  return piece;
}

}  // namespace headwater
