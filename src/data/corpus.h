#pragma once
// Reads the text of a corpus: lists its files, cuts them into pieces of about 64 KiB, and finds the
// documents of a piece.
//
// A reader belongs to one thread at a time; for_each_part is a pure function.

#include "headwater/base/file.h"
#include "input_file.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {

struct CorpusFile {
  Path path;
  std::int64_t bytes = 0;
  bool jsonl = false;
};

// Returns the given files, and for a given folder the files below it, sorted by path. Throws UserError if an
// input is missing or none is given.
std::vector<CorpusFile> list_corpus(const std::vector<std::string>& inputs);
std::int64_t total_bytes(const std::vector<CorpusFile>& files);

// A chunk of the document that a text file is, or some whole lines of a JSONL file.
struct CorpusPiece {
  const CorpusFile* file = nullptr;
  std::int64_t first_byte = 0;  // its offset in the file
  std::int64_t first_line = 1;  // JSONL: the number of its first line, from 1
  std::string text;
  bool ends_document = false;  // text: whether it is the file's last chunk
  bool skipped = false;        // text: the whole document is invalid and left out; `text` is empty
};

class CorpusReader {
 public:
  // Text files must be UTF-8. With skip_invalid each is checked as a whole before it is read, so that no
  // part of it is used if its end is invalid.
  CorpusReader(const std::vector<CorpusFile>& files, bool skip_invalid);
  std::optional<CorpusPiece> next();  // empty at the end

 private:
  void open(const CorpusFile& file);
  void fill(std::size_t bytes);
  CorpusPiece cut(std::size_t length);

  const std::vector<CorpusFile>& files_;
  bool skip_invalid_;
  std::size_t file_ = 0;
  std::optional<InputFile> in_;  // files_[file_], while it is open
  std::string buffer_;           // bytes that are read but not yet part of a piece
  bool at_end_ = false;          // whether the buffer holds the rest of the file
  std::int64_t first_byte_ = 0, first_line_ = 1;
};

// Calls `visit` for each document of the piece, or for the part of a document that the piece is. It passes
// the text, which is valid UTF-8, and whether the document ends with it. Returns the number of documents
// that were left out as invalid; without skip_invalid such a document is a UserError.
using VisitPart = std::function<void(std::string_view text, bool ends_document)>;
std::int64_t for_each_part(const CorpusPiece& piece, bool skip_invalid, const VisitPart& visit);

// The lengths of a long document's chunks (utf8.h: chunk_length). All code that encodes documents must use
// the same, so that the same text has the same tokens. SentencePiece's BPE is slow on large chunks: 3.1 MB/s
// at 64 KiB, 1.2 MB/s at 1 MiB.
inline constexpr std::size_t kLeastChunk = std::size_t{64} << 10, kMostChunk = std::size_t{128} << 10;

}  // namespace headwater
