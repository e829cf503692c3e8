#pragma once
// The work of `data tokenize`: makes one indexed dataset of text files, folders and JSONL, on all cores, in
// memory that does not grow with the input. The result depends on the inputs and the tokenizer, not on the
// number of threads.
//
// A file named *.jsonl has one document per line, {"text": "…"}; other keys and blank lines are ignored.
// Every other file is one document. A folder stands for the files below it, sorted by path. The tokenizer's
// eod closes each document, and empty documents are left out.
//
// A long document is encoded in chunks. A chunk ends after the first line feed at or past 64 KiB; if the
// first 128 KiB have none there, it ends before the character that would pass 128 KiB. So documents up to 64
// KiB are encoded whole.

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
  // Leave out, and count, documents that are not UTF-8 and lines that are not JSON. Without it they are
  // errors.
  bool skip_invalid = false;
};

struct TokenizeProgress {
  std::int64_t bytes = 0, total_bytes = 0;
  std::int64_t tokens = 0, documents = 0;  // written so far; tokens include the eods
  std::int64_t empty = 0, skipped = 0;     // documents that were left out
};

// The calling thread calls it after every piece of about 64 KiB, or more if a line of JSON is longer.
using TokenizeCallback = std::function<void(const TokenizeProgress&)>;

// Throws UserError if an input is missing, if text is not UTF-8 (with file and byte offset), if a line is
// not JSON or has no text (with file and line), and if there is no document at all.
TokenizeProgress tokenize(const TokenizeOptions& options, const TokenizeCallback& progress = {});

}  // namespace headwater
