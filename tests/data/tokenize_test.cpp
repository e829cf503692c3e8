#include "headwater/data/tokenize.h"

#include "headwater/data/tokenizer.h"
#include "headwater/data/train_tokenizer.h"
#include "tests/data/data_support.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>

#include <sys/resource.h>

#include <cerrno>

namespace headwater {
namespace {

class TokenizeTest : public testing::Test {
 protected:
  TokenizeProgress run(const std::vector<std::string>& inputs, const std::string& tokenizer = "bytes",
                       int threads = 2, bool skip_invalid = false) {
    TokenizeOptions options;
    for (const std::string& input : inputs) options.inputs.push_back((folder_ / input).native());
    options.output = (folder_ / "out").native();
    options.tokenizer = tokenizer;
    options.threads = threads;
    options.skip_invalid = skip_invalid;
    return tokenize(options);
  }

  // The documents of the output as text, without their eods.
  std::vector<std::string> documents(const std::string& spec = "bytes") {
    const auto tokenizer = make_tokenizer(spec);
    const IndexedDataset dataset((folder_ / "out").native());
    std::vector<std::string> texts;
    for (std::int64_t d = 0; d < dataset.documents(); ++d) {
      const std::int64_t begin = dataset.document_first_token(d), end = dataset.document_first_token(d + 1);
      Tokens ids(static_cast<std::size_t>(end - begin));
      dataset.read(begin, ids);
      EXPECT_EQ(ids.back(), tokenizer->eod());
      ids.pop_back();
      texts.push_back(tokenizer->decode(ids));
    }
    return texts;
  }

  void expect_refused(const std::vector<std::string>& inputs, const std::string& tokenizer,
                      const std::string& part) {
    const std::string error = user_error_of([&] { run(inputs, tokenizer); });
    EXPECT_NE(error.find(part), std::string::npos) << error;
    for (const std::string& name : names_in(folder_.path())) EXPECT_FALSE(name.starts_with("out")) << name;
  }

  // A small SentencePiece model.
  std::string model() {
    write_bytes(folder_ / "train.txt", made_up_text(5, 200000));
    TrainTokenizerOptions options;
    options.inputs = {(folder_ / "train.txt").native()};
    options.output = (folder_ / "m.model").native();
    options.vocab_size = 300;
    train_tokenizer(options);
    return options.output;
  }

  TemporaryFolder folder_;
};

TEST_F(TokenizeTest, FilesFoldersAndLinesBecomeDocumentsInOrder) {
  make_folders(folder_ / "in/b/deep");
  write_bytes(folder_ / "in/c.txt", "third\n");
  write_bytes(folder_ / "in/a.txt", "first\n");
  write_bytes(folder_ / "in/empty", "");
  write_bytes(folder_ / "in/b/deep/x.h", "second\n");
  write_bytes(folder_ / "lines.jsonl",
              "{\"text\": \"one\\n\\u6e90\", \"id\": [1, {\"text\": 2}]}\n\n  \t\r\n{\"text\": "
              "\"\"}\r\n{\"text\":\"two\"}");
  write_bytes(folder_ / "last.txt", "{\"text\": 1}");
  const TokenizeProgress done = run({"lines.jsonl", "in", "last.txt"});
  EXPECT_EQ(documents(), (std::vector<std::string>{"one\n\xE6\xBA\x90", "two", "first\n", "second\n",
                                                   "third\n", "{\"text\": 1}"}));
  EXPECT_EQ(done.documents, 6);
  EXPECT_EQ(done.empty, 2);
  EXPECT_EQ(done.skipped, 0);
  EXPECT_EQ(done.bytes, done.total_bytes);
  EXPECT_EQ(done.tokens, IndexedDataset((folder_ / "out").native()).tokens());
}

TEST_F(TokenizeTest, TheResultDoesNotDependOnTheThreads) {
  const std::string spec = model();
  write_bytes(folder_ / "big.txt", made_up_text(1, 400'000));
  write_bytes(folder_ / "one_line.txt", std::string(200'000, 'x') + "\xE6\xBA\x90");
  std::string lines;
  for (std::uint64_t i = 0; i < 400; ++i) {
    std::string text = made_up_text(100 + i, i == 7 ? 200'000 : 300);
    for (std::size_t at = 0; (at = text.find_first_of("\n\t", at)) != std::string::npos; at += 2)
      text.replace(at, 1, text[at] == '\n' ? "\\n" : "\\t");
    lines += "{\"text\": \"" + text + "\"}\n";
  }
  write_bytes(folder_ / "lines.jsonl", lines);
  for (int i = 0; i < 50; ++i)
    write_bytes(folder_ / ("small" + std::to_string(i)), made_up_text(static_cast<std::uint64_t>(i), 2000));
  std::vector<std::string> inputs = {"big.txt", "lines.jsonl", "one_line.txt"};
  for (int i = 0; i < 50; ++i) inputs.push_back("small" + std::to_string(i));

  std::string bin, idx;
  for (const int threads : {1, 2, 3, 8}) {
    run(inputs, spec, threads);
    if (threads == 1) {
      bin = read_text(folder_ / "out.bin");
      idx = read_text(folder_ / "out.idx");
      const auto texts = documents(spec);
      ASSERT_EQ(texts.size(), 452u);
      EXPECT_TRUE(texts[0] == made_up_text(1, 400'000));
      EXPECT_TRUE(texts[8] == made_up_text(107, 200'000));
      EXPECT_TRUE(texts[401] == read_text(folder_ / "one_line.txt"));
      EXPECT_TRUE(texts[451] == made_up_text(49, 2000));
    }
    EXPECT_TRUE(read_text(folder_ / "out.bin") == bin) << threads;
    EXPECT_TRUE(read_text(folder_ / "out.idx") == idx) << threads;
  }
}

TEST_F(TokenizeTest, ProgressRises) {
  write_bytes(folder_ / "big.txt", made_up_text(1, 300'000));
  TokenizeOptions options;
  options.inputs = {(folder_ / "big.txt").native()};
  options.output = (folder_ / "out").native();
  TokenizeProgress last;
  int calls = 0;
  const TokenizeProgress done = tokenize(options, [&](const TokenizeProgress& now) {
    EXPECT_GT(now.bytes, last.bytes);
    EXPECT_GT(now.tokens, last.tokens);
    EXPECT_EQ(now.total_bytes, static_cast<std::int64_t>(std::filesystem::file_size(folder_ / "big.txt")));
    last = now;
    ++calls;
  });
  EXPECT_GE(calls, 3);
  EXPECT_EQ(last.bytes, done.total_bytes);
  EXPECT_EQ(last.tokens, done.tokens);
}

TEST_F(TokenizeTest, TextThatIsNotUtf8IsNamedByFileAndByte) {
  const std::string spec = model();
  std::string text = made_up_text(1, 600'000);
  const std::size_t at = text.rfind("turn");
  text[at] = '\xFF';
  write_bytes(folder_ / "good.txt", "good\n");
  write_bytes(folder_ / "bad.txt", text);
  expect_refused({"good.txt", "bad.txt"}, spec,
                 fmt::format("{} is not UTF-8: its byte {} is 0xff", (folder_ / "bad.txt").native(), at));
  expect_refused({"bad.txt"}, "bytes", "is not UTF-8");

  const TokenizeProgress done = run({"good.txt", "bad.txt", "good.txt"}, spec, 2, true);
  EXPECT_EQ(done.skipped, 1);
  EXPECT_EQ(done.bytes, done.total_bytes);
  EXPECT_EQ(documents(spec), (std::vector<std::string>{"good\n", "good\n"}));
}

// skip_invalid checks a file in blocks first. Here characters lie across the blocks' borders.
TEST_F(TokenizeTest, SkippingChecksWholeFiles) {
  const std::string spec = model();
  for (std::size_t shift = 0; shift < 4; ++shift) {
    std::string text(shift, 'a');
    while (text.size() < (std::size_t{64} << 10) + 20) text += "\xF0\x9F\x99\x82";
    write_bytes(folder_ / "good.txt", text);
    write_bytes(folder_ / "cut.txt", text.substr(0, text.size() - 1));
    EXPECT_EQ(run({"good.txt", "cut.txt"}, spec, 1, true).skipped, 1);
    EXPECT_TRUE(documents(spec)[0] == text);
  }
}

TEST_F(TokenizeTest, WrongLinesAreNamedByFileAndLine) {
  const std::string path = (folder_ / "x.jsonl").native();
  std::string before = "{\"text\": \"ok\"}\n\n";
  while (before.size() < 300'000) before += "{\"text\": \"ok\"}\n";
  const auto number = std::count(before.begin(), before.end(), '\n') + 1;
  const auto refused = [&](const std::string& line, const std::string& part) {
    write_bytes(path, before + line + "\n{\"text\": \"ok\"}\n");
    expect_refused({"x.jsonl"}, "bytes", fmt::format("{} line {} {}", path, number, part));
    EXPECT_EQ(run({"x.jsonl"}, "bytes", 2, true).skipped, 1);
    EXPECT_EQ(documents().size(), static_cast<std::size_t>(number) - 1);
    for (const char* name : {"out.bin", "out.idx"}) remove_tree(folder_ / name);
  };
  refused("{\"text\": \"cut", "is not JSON");
  refused("{\"text\": \"\\ud800\"}", "is not JSON");
  refused("{\"txt\": \"x\"}", "has no text");
  refused("{\"text\": 3}", "has no text");
  refused("[\"text\"]", "has no text");
  refused("{\"text\": \"\xC3(\"}",
          fmt::format("is not UTF-8: byte {} of the file is 0xc3", before.size() + 10));
}

TEST_F(TokenizeTest, InputsThatAreNotThereAreNamed) {
  expect_refused({"nowhere"}, "bytes", "nowhere does not exist");
  expect_refused({}, "bytes", "no text was given");
  write_bytes(folder_ / "empty", "");
  expect_refused({"empty", "empty"}, "bytes", "no document in 2 files: 2 are empty, 0 were left out");
  expect_refused({"empty"}, (folder_ / "none.model").native(), "none.model does not exist");
}

// Whichever write fails: the workers end, the first error is thrown, and no file is left.
TEST_F(TokenizeTest, AFullDiskLeavesNothing) {
  write_bytes(folder_ / "big.txt", made_up_text(1, 6'000'000));
  int faults = 0;
  for (bool failed = true; failed;) {
    inject_write_fault(static_cast<std::uint64_t>(faults + 1), ENOSPC);
    try {
      run({"big.txt"}, "bytes", 3);
      failed = false;
    } catch (const SystemError& error) {
      EXPECT_NE(std::string(error.what()).find("No space left"), std::string::npos);
      EXPECT_EQ(names_in(folder_.path()).size(), 1u);
      ++faults;
    }
    inject_write_fault(0, 0);
  }
  EXPECT_GT(faults, 12);
}

std::int64_t peak_kib() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST_F(TokenizeTest, MemoryDoesNotGrowWithTheText) {
#ifdef HEADWATER_SANITIZED
  GTEST_SKIP() << "sanitizers keep freed memory";
#endif
  const std::string block = made_up_text(1, 1'000'000);
  for (const int blocks : {6, 60}) {
    OutputFile file = OutputFile::create(folder_ / ("big" + std::to_string(blocks)));
    for (int i = 0; i < blocks; ++i) file.write(block);
    file.close();
  }
  run({"big6"});
  const std::int64_t before = peak_kib();
  run({"big60"});
  EXPECT_LT(peak_kib() - before, 30'000);  // 54 MB more of text, 240 MB of tokens in memory
}

}  // namespace
}  // namespace headwater
