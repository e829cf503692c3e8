#include "headwater/base/clock.h"
#include "headwater/base/error.h"
#include "headwater/data/dataset_tools.h"
#include "headwater/data/tokenize.h"
#include "headwater/data/train_tokenizer.h"

#include "commands.h"

#include <nlohmann/json.hpp>

#include <unistd.h>

#include <iostream>

namespace headwater {
namespace {

// Shows a progress bar on standard error where that is a terminal, drawn ten times a second at most.
class ProgressBar {
 public:
  ~ProgressBar() {
    if (drawn_) std::cerr << '\n';
  }
  void show(std::int64_t done, std::int64_t total, const std::string& text) {
    if (!terminal_ || (done < total && drawn_ && watch_.seconds() < 0.1)) return;
    watch_.restart();
    const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1.0;
    const auto filled = static_cast<std::size_t>(share * 40.0);
    std::cerr << fmt::format("\r[{}{}] {:5.1f} %  {}", std::string(filled, '='),
                             std::string(40 - filled, ' '), 100.0 * share, text)
              << std::flush;
    drawn_ = true;
  }

 private:
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool drawn_ = false;
  Stopwatch watch_;
};

std::string mebibytes(std::int64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / 1048576.0);
}

void add_tokenize(Command data, Session& session) {
  auto options = std::make_shared<TokenizeOptions>();
  Command command = data.command("tokenize", "Turn text files, folders and JSONL into a .bin/.idx dataset");
  command.option("INPUT", &options->inputs, "text files, folders, *.jsonl with {\"text\": ...}").required();
  command.option("--out", &options->output, "prefix of the .bin/.idx to write").required();
  command.option("--tokenizer", &options->tokenizer, "\"bytes\" or a SentencePiece model").required();
  command.option("--threads", &options->threads, "0: all cores").not_negative();
  command.flag("--skip-invalid", &options->skip_invalid,
               "leave out documents that are not valid, and count them");
  command.runs([&session, options] {
    session.one_rank_only("data tokenize");
    const Stopwatch watch;
    TokenizeProgress done;
    {
      ProgressBar bar;
      done = tokenize(*options, [&](const TokenizeProgress& p) {
        bar.show(p.bytes, p.total_bytes,
                 fmt::format("{}, {} documents, {} tokens", mebibytes(p.bytes), p.documents, p.tokens));
      });
    }
    std::cout << fmt::format("{}: {} documents, {} tokens from {} in {:.1f} s", options->output,
                             done.documents, done.tokens, mebibytes(done.bytes), watch.seconds());
    if (done.empty > 0) std::cout << fmt::format("; {} empty documents left out", done.empty);
    if (done.skipped > 0) std::cout << fmt::format("; {} invalid documents left out", done.skipped);
    std::cout << std::endl;
    return 0;
  });
}

void add_train_tokenizer(Command data, Session& session) {
  auto options = std::make_shared<TrainTokenizerOptions>();
  Command command = data.command("train-tokenizer", "Learn a SentencePiece model from text");
  command.option("INPUT", &options->inputs, "text files, folders, *.jsonl").required();
  command.option("--out", &options->output, "model file to write").required();
  command.option("--vocab-size", &options->vocab_size, "number of pieces").shows_default();
  command.option("--model-type", &options->model_type, "bpe or unigram")
      .one_of({"bpe", "unigram"})
      .shows_default();
  command.option("--sample-bytes", &options->sample_bytes, "about how much text to learn from")
      .shows_default();
  command.option("--seed", &options->seed, "of the sample").shows_default();
  command.flag("--skip-invalid", &options->skip_invalid, "leave out text that is not valid");
  command.runs([&session, options] {
    session.one_rank_only("data train-tokenizer");
    const Stopwatch watch;
    TrainTokenizerResult done;
    {
      ProgressBar bar;
      done = train_tokenizer(
          *options, [&](std::int64_t bytes, std::int64_t total) { bar.show(bytes, total, "reading"); });
    }
    std::cout << fmt::format("{}: {} pieces from {} of {} in {:.1f} s", options->output, done.vocab_size,
                             mebibytes(done.sampled_bytes), mebibytes(done.read_bytes), watch.seconds())
              << std::endl;
    return 0;
  });
}

void add_merge(Command data, Session& session) {
  auto options = std::make_shared<MergeOptions>();
  Command command = data.command("merge", "Join datasets into one, one after the other");
  command.option("PREFIX", &options->inputs, "prefixes of .bin/.idx pairs").required();
  command.option("--out", &options->output, "prefix to write").required();
  command.runs([&session, options] {
    session.one_rank_only("data merge");
    DatasetInfo info;
    {
      ProgressBar bar;
      info = merge_datasets(
          *options, [&](std::int64_t tokens, std::int64_t total) { bar.show(tokens, total, "tokens"); });
    }
    std::cout << fmt::format("{}: {} documents, {} tokens", options->output, info.documents, info.tokens)
              << std::endl;
    return 0;
  });
}

void add_info(Command data, Session& session) {
  struct Options {
    std::string prefix;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  Command command = data.command("info", "What a dataset holds");
  command.option("PREFIX", &options->prefix, "prefix of a .bin/.idx pair").required();
  command.flag("--json", &options->json, "print one JSON object");
  command.runs([&session, options] {
    session.one_rank_only("data info");
    const DatasetInfo info = dataset_info(options->prefix);
    if (options->json)
      std::cout << nlohmann::json{{"sequences", info.sequences},
                                  {"documents", info.documents},
                                  {"tokens", info.tokens},
                                  {"dtype", name(info.type)},
                                  {"largest_token", info.largest_token}}
                       .dump()
                << std::endl;
    else
      std::cout << fmt::format("{}: {} sequences, {} documents, {} tokens of {}, largest {}", options->prefix,
                               info.sequences, info.documents, info.tokens, name(info.type),
                               info.largest_token)
                << std::endl;
    return 0;
  });
}

}  // namespace

void add_data(Command app, Session& session) {
  Command data = app.command("data", "Prepare datasets: tokenize, train-tokenizer, merge, info");
  data.needs_a_command();
  add_tokenize(data, session);
  add_train_tokenizer(data, session);
  add_merge(data, session);
  add_info(data, session);
}

}  // namespace headwater
