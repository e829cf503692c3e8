#pragma once
// The text of a corpus: which files it has, their pieces of about 64 KiB in order, and the documents of a
// piece. Private to the room. A reader belongs to one thread at a time; for_each_part is a pure function.

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

// Files stand for themselves, folders for the files below them, sorted by path. UserError where one is
// missing or none is given.
std::vector<CorpusFile> list_corpus(const std::vector<std::string>& inputs);
std::int64_t total_bytes(const std::vector<CorpusFile>& files);

// A chunk of a document (text) or a group of whole lines (JSONL).
struct CorpusPiece {
  const CorpusFile* file = nullptr;
  std::int64_t first_byte = 0;  // where it begins in the file
  std::int64_t first_line = 1;  // JSONL: the number of its first line
  std::string text;
  bool ends_document = false;  // text: the file's last chunk
  bool skipped = false;        // text: the whole document, left out as invalid
};

class CorpusReader {
 public:
  // Text files must be UTF-8. With skip_invalid each is read twice, so that none of it
  // is used where its end is broken.
  CorpusReader(const std::vector<CorpusFile>& files, bool skip_invalid);
  std::optional<CorpusPiece> next();

 private:
  void open(const CorpusFile& file);
  void fill(std::size_t bytes);
  CorpusPiece cut(std::size_t length);

  const std::vector<CorpusFile>& files_;
  bool skip_invalid_;
  std::size_t file_ = 0;
  std::optional<InputFile> in_;  // of files_[file_]
  std::string buffer_;           // read, not yet given away
  bool at_end_ = false;          // nothing follows the buffer
  std::int64_t first_byte_ = 0, first_line_ = 1;
};

// Calls `visit` with the text of each document of the piece, or of the part of one that the piece holds, and
// whether the document ends with it. Gives the number of documents left out as invalid. Text of one call is
// valid UTF-8.
using VisitPart = std::function<void(std::string_view text, bool ends_document)>;
std::int64_t for_each_part(const CorpusPiece& piece, bool skip_invalid, const VisitPart& visit);

// The chunks of a long document; every reader of text uses the same, so that the same text has the same
// tokens. Larger ones make SentencePiece's BPE slow: 3.1 MB/s by 64 KiB, 1.2 MB/s by 1 MiB.
inline constexpr std::size_t kLeastChunk = std::size_t{64} << 10, kMostChunk = std::size_t{128} << 10;

}  // namespace headwater
