#include "headwater/data/train_tokenizer.h"

#include "headwater/base/error.h"
#include "headwater/base/random.h"

#include "corpus.h"
#include "tokenizers.h"
#include "utf8.h"

#include <sentencepiece_trainer.h>

#include <deque>
#include <exception>
#include <unordered_map>

namespace headwater {
namespace {

// The library is given several lines with their line feeds as one sentence, so that it learns pieces such as
// ";\n".
constexpr std::size_t kLeastSentence = 1024, kMostSentence = 4096;

// Gives the library the chosen sentences of a corpus one by one. An exception must not pass through the
// library: it ends the sentences, and rethrow() throws it after the training.
class CorpusSentences final : public sentencepiece::SentenceIterator {
 public:
  using Progress = std::function<void(std::int64_t, std::int64_t)>;

  CorpusSentences(const std::vector<CorpusFile>& files, const TrainTokenizerOptions& options,
                  const Progress& progress)
      : reader_(files, options.skip_invalid),
        skip_invalid_(options.skip_invalid),
        total_(total_bytes(files)),
        share_(total_ > options.sample_bytes
                   ? static_cast<double>(options.sample_bytes) / static_cast<double>(total_)
                   : 1.0),
        key_(derive(RandomKey{options.seed}, "sentences")),
        progress_(progress) {
    find_sentence();
  }

  bool done() const override { return sentences_.empty(); }
  const std::string& value() const override { return sentences_.front(); }
  sentencepiece::util::Status status() const override { return {}; }
  void Next() override {
    sentences_.pop_front();
    find_sentence();
  }

  const TrainTokenizerResult& counts() const { return counts_; }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void find_sentence() {
    try {
      while (sentences_.empty()) {
        const auto piece = reader_.next();
        if (!piece) return;
        counts_.skipped +=
            for_each_part(*piece, skip_invalid_, [&](std::string_view text, bool) { cut(text); });
        counts_.read_bytes +=
            piece->skipped ? piece->file->bytes : static_cast<std::int64_t>(piece->text.size());
        if (progress_) progress_(counts_.read_bytes, total_);
      }
    } catch (...) {
      error_ = std::current_exception();
      sentences_.clear();
    }
  }

  void cut(std::string_view text) {
    while (!text.empty()) {
      const std::size_t length = chunk_length(text, kLeastSentence, kMostSentence);
      if (uniform(key_, seen_++) < share_) {
        sentences_.emplace_back(text.substr(0, length));
        counts_.sampled_bytes += static_cast<std::int64_t>(length);
      }
      text.remove_prefix(length);
    }
  }

  CorpusReader reader_;
  bool skip_invalid_;
  std::int64_t total_;
  double share_;
  RandomKey key_;
  const Progress& progress_;
  std::deque<std::string> sentences_;
  std::uint64_t seen_ = 0;
  TrainTokenizerResult counts_;
  std::exception_ptr error_;
};

std::unordered_map<std::string, std::string> trainer_settings(const TrainTokenizerOptions& options) {
  return {
      {"model_type", options.model_type},
      {"vocab_size", std::to_string(options.vocab_size)},
      {"control_symbols", kEodPiece},
      {"unk_id", "0"},
      {"bos_id", "-1"},
      {"eos_id", "-1"},
      {"pad_id", "-1"},
      {"normalization_rule_name", "identity"},
      {"add_dummy_prefix", "false"},
      {"remove_extra_whitespaces", "false"},
      {"allow_whitespace_only_pieces", "true"},
      {"byte_fallback", "true"},
      {"split_digits", "true"},
      {"character_coverage", "0.9995"},
      {"max_sentence_length", std::to_string(kMostSentence)},
      {"shuffle_input_sentence", "false"},
      // The unigram trainer adds up sums of its threads. So their number changes the result, and must be
      // fixed.
      {"num_threads", "16"},
      {"minloglevel", "2"},
  };
}

// Cuts the library's prefix off a message: "Internal: file.cc(123) [(condition)] What a person wants to
// know".
std::string reason_of(const std::string& message) {
  const std::size_t bracket = message.rfind("] ");
  return bracket == std::string::npos ? message : message.substr(bracket + 2);
}

void check(const TrainTokenizerOptions& options) {
  if (options.model_type != "bpe" && options.model_type != "unigram")
    throw UserError("tokenizer type \"{}\" is not known; there are bpe and unigram", options.model_type);
  if (options.vocab_size < 259)
    throw UserError("a vocabulary of {} pieces is too small: 256 bytes, <unk>, {} and some text take more",
                    options.vocab_size, kEodPiece);
  if (options.sample_bytes < 1)
    throw UserError("a sample of {} bytes; at least 1 is needed", options.sample_bytes);
}

}  // namespace

TrainTokenizerResult train_tokenizer(
    const TrainTokenizerOptions& options,
    const std::function<void(std::int64_t bytes, std::int64_t total)>& progress) {
  check(options);
  const std::vector<CorpusFile> files = list_corpus(options.inputs);
  AtomicFile file(
      options.output);  // opened first, so that a path that cannot be written is known before the work
  CorpusSentences sentences(files, options, progress);
  sentences.rethrow();
  if (sentences.done())
    throw UserError("there is no text to learn a tokenizer from in {} files", files.size());

  std::string model;
  const auto status =
      sentencepiece::SentencePieceTrainer::Train(trainer_settings(options), &sentences, &model);
  sentences.rethrow();
  TrainTokenizerResult result = sentences.counts();
  if (!status.ok())
    throw UserError("no tokenizer of {} pieces can be learned from {} bytes of text: {}", options.vocab_size,
                    result.sampled_bytes, reason_of(status.ToString()));
  result.vocab_size = options.vocab_size;
  file.out().write(model);
  file.commit();
  return result;
}

}  // namespace headwater
