#pragma once
// What `data train-tokenizer` does: a SentencePiece model from text files, folders and JSONL, made so that
// text comes back unchanged: no normalisation, no added or removed spaces, line feeds and tabs as they are,
// bytes for characters that have no piece. Its control piece "<eod>" closes documents and is never made from
// text.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace headwater {

struct TrainTokenizerOptions {
  std::vector<std::string> inputs;  // as TokenizeOptions::inputs
  std::string output;               // path of the model file
  std::int32_t vocab_size = 8000;   // all pieces: bytes, <unk>, <eod> and learned ones
  std::string model_type = "bpe";   // or "unigram"
  std::int64_t sample_bytes =
      32 << 20;  // about how much text to learn from; chosen by `seed` where there is more
  std::uint64_t seed = 1234;
  bool skip_invalid = false;  // leave out text that is not UTF-8, and lines that are not JSON
};

struct TrainTokenizerResult {
  std::int32_t vocab_size = 0;
  std::int64_t read_bytes = 0, sampled_bytes = 0;
  std::int64_t skipped = 0;  // documents left out
};

// The same inputs and options give the same file. The callback hears of the reading; the library's own work
// after it is silent. UserError where the text is too small for the vocabulary, or the vocabulary for the
// bytes and characters.
TrainTokenizerResult train_tokenizer(
    const TrainTokenizerOptions& options,
    const std::function<void(std::int64_t bytes, std::int64_t total)>& progress = {});

}  // namespace headwater
