#pragma once
// What `data tokenize` does: text files, folders and JSONL into one indexed dataset, on all cores, in memory
// that does not grow with the input. The result depends on the inputs and the tokenizer only, never on the
// number of threads.
//
// A file named *.jsonl holds one document per line, {"text": "…"}, other keys ignored, blank lines too. Every
// other file is one document. A folder stands for the files below it, sorted by path. Each document is closed
// by the tokenizer's eod; empty ones are left out. A long document is encoded in chunks: a chunk ends after
// the first line feed at or past 64 KiB, or, where 128 KiB hold none, before the character that would pass
// them. Documents up to 64 KiB are thus encoded whole.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace headwater {

struct TokenizeOptions {
  std::vector<std::string> inputs;  // files and folders, in the order of the result
  std::string output;               // prefix of the .bin/.idx pair
  std::string tokenizer = "bytes";  // as make_tokenizer takes it
  int threads = 0;                  // 0: as many as this process may use
  bool skip_invalid =
      false;  // leave out (and count) documents that are not UTF-8, and lines that are not JSON
};

struct TokenizeProgress {
  std::int64_t bytes = 0, total_bytes = 0;
  std::int64_t tokens = 0, documents = 0;  // tokens with their eods
  std::int64_t empty = 0, skipped = 0;     // documents that were left out
};

// Called by the calling thread, after every piece of about 64 KiB, or of more where a line of
// JSON is longer.
using TokenizeCallback = std::function<void(const TokenizeProgress&)>;

// UserError: an input that is missing; text that is not UTF-8 (file and byte offset); a line that is not JSON
// or has no text (file and line); no document at all.
TokenizeProgress tokenize(const TokenizeOptions& options, const TokenizeCallback& progress = {});

}  // namespace headwater
