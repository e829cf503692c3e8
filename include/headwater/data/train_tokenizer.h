#pragma once
// The work of `data train-tokenizer`: trains a SentencePiece model on text files, folders and JSONL.
//
// The model decodes to the unchanged text: it does not normalise, adds and removes no spaces, keeps line
// feeds and tabs, and encodes characters without a piece as bytes. Its control piece "<eod>" closes
// documents and never results from text.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace headwater {

struct TrainTokenizerOptions {
  std::vector<std::string> inputs;  // files and folders, as for TokenizeOptions
  std::string output;               // path of the model file
  std::int32_t vocab_size = 8000;   // all pieces: bytes, <unk>, <eod> and learned ones
  std::string model_type = "bpe";   // or "unigram"
  // About how much text to learn from. If there is more, `seed` decides which text is taken.
  std::int64_t sample_bytes = 32 << 20;
  std::uint64_t seed = 1234;
  bool skip_invalid = false;  // leave out text that is not UTF-8, and lines that are not JSON
};

struct TrainTokenizerResult {
  std::int32_t vocab_size = 0;
  std::int64_t read_bytes = 0, sampled_bytes = 0;
  std::int64_t skipped = 0;  // documents that were left out
};

// The same inputs and options give the same file. `progress` is called while the text is read, not during
// the library's work after that. Throws UserError if the text is too small for the vocabulary, or the
// vocabulary for the bytes and characters.
TrainTokenizerResult train_tokenizer(
    const TrainTokenizerOptions& options,
    const std::function<void(std::int64_t bytes, std::int64_t total)>& progress = {});

}  // namespace headwater
