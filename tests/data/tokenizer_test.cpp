#include "headwater/data/tokenizer.h"

#include "headwater/data/train_tokenizer.h"
#include "tests/data/data_support.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>
#include <sentencepiece_trainer.h>

#include <algorithm>

namespace headwater {
namespace {

// Tokenizers that are trained once for all tests of this program.
class SentencePieceTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    write_bytes(*folder_ / "code.txt", made_up_text(1, 150000));
    for (const char* type : {"bpe", "unigram"}) train(type, type);
  }
  static void TearDownTestSuite() { delete folder_; }

  static TrainTokenizerOptions options(const std::string& name, const std::string& type) {
    TrainTokenizerOptions result;
    result.inputs = {(*folder_ / "code.txt").native()};
    result.output = path(name);
    result.vocab_size = 400;
    result.model_type = type;
    return result;
  }
  static TrainTokenizerResult train(const std::string& name, const std::string& type) {
    return train_tokenizer(options(name, type));
  }
  static std::string path(const std::string& name) { return (*folder_ / name).native(); }

  static TemporaryFolder* folder_;
};

TemporaryFolder* SentencePieceTest::folder_ = nullptr;

std::string printed(const Tokenizer& tokenizer, const Tokens& ids) {
  std::string text;
  for (const std::int32_t id : ids) text += tokenizer.token_text(id);
  return text;
}

TEST(BytesTokenizer, IdsAreTheBytes) {
  const auto tokenizer = make_tokenizer("bytes");
  EXPECT_EQ(tokenizer->vocab_size(), 257);
  EXPECT_EQ(tokenizer->eod(), 256);
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(tokenizer->encode(all), counted(256));
  EXPECT_EQ(tokenizer->decode(counted(256)), all);
  EXPECT_EQ(printed(*tokenizer, counted(257)), all);
  EXPECT_EQ(tokenizer->token_text(257), "\xEF\xBF\xBD");
  EXPECT_EQ(tokenizer->token_text(-1), "\xEF\xBF\xBD");
}

TEST_F(SentencePieceTest, TextComesBackUnchanged) {
  for (const char* type : {"bpe", "unigram"}) {
    const auto tokenizer = make_tokenizer(path(type));
    EXPECT_EQ(tokenizer->vocab_size(), 400);
    const std::vector<std::string> texts = {
        "",
        " ",
        "\n",
        "\t\tint x = 1234;\n\n\n  }\r\n   \t ",
        "caf\xC3\xA9 \xE6\xBA\x90 \xF0\x9F\x99\x82 \xE2\x96\x81 _\xE2\x96\x81\xE2\x96\x81 \xE2\x96\x85",
        std::string("nul \0 within", 12),
        "<eod> <unk> <0x41> </s>",
        made_up_text(2, 10000),
    };
    for (const std::string& text : texts) {
      const Tokens ids = tokenizer->encode(text);
      EXPECT_EQ(tokenizer->decode(ids), text);
      EXPECT_EQ(printed(*tokenizer, ids), text);
      EXPECT_EQ(std::count(ids.begin(), ids.end(), tokenizer->eod()), 0) << text;
    }
    EXPECT_EQ(tokenizer->token_text(tokenizer->eod()), "");
    // The model has learned something: the text has far fewer tokens than bytes.
    EXPECT_LT(tokenizer->encode(texts.back()).size() * 2, texts.back().size());
  }
}

TEST_F(SentencePieceTest, EveryCodePointComesBack) {
  const auto tokenizer = make_tokenizer(path("bpe"));
  std::string text;
  for (std::uint32_t c = 0x80; c < 0x3000; c += 7) {
    if (c < 0x800)
      text += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
    else
      text += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
               static_cast<char>(0x80 | (c & 0x3F))};
  }
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST_F(SentencePieceTest, EncodeAppends) {
  const auto tokenizer = make_tokenizer(path("bpe"));
  Tokens ids = {7};
  tokenizer->encode("int", ids);
  EXPECT_EQ(ids[0], 7);
  EXPECT_EQ(tokenizer->decode(std::span(ids).subspan(1)), "int");
}

TEST_F(SentencePieceTest, TrainingTwiceGivesTheSameBytes) {
  for (const char* type : {"bpe", "unigram"}) {
    train("again", type);
    EXPECT_EQ(read_text(path("again")), read_text(path(type)));
  }
}

TEST_F(SentencePieceTest, ASampleIsChosenBySeed) {
  TrainTokenizerOptions sampled = options("sampled", "bpe");
  sampled.sample_bytes = 60000;
  const TrainTokenizerResult first = train_tokenizer(sampled);
  const std::string model = read_text(path("sampled"));
  EXPECT_GT(first.sampled_bytes, 40000);
  EXPECT_LT(first.sampled_bytes, 80000);
  EXPECT_EQ(first.read_bytes, static_cast<std::int64_t>(std::filesystem::file_size(path("code.txt"))));
  train_tokenizer(sampled);
  EXPECT_EQ(read_text(path("sampled")), model);
  sampled.seed = 1;
  EXPECT_NE(train_tokenizer(sampled).sampled_bytes, first.sampled_bytes);
}

TEST_F(SentencePieceTest, WhatCannotBeLearnedIsRefusedAndLeavesNothing) {
  write_bytes(*folder_ / "small.txt", "a b c d e f g\n");
  write_bytes(*folder_ / "empty.txt", "");
  write_bytes(*folder_ / "broken.txt", "abc \xFF\n");
  const auto refused = [&](const TrainTokenizerOptions& wrong, const std::string& part) {
    const std::string error = user_error_of([&] { train_tokenizer(wrong); });
    EXPECT_NE(error.find(part), std::string::npos) << error;
    for (const std::string& name : names_in(folder_->path())) EXPECT_FALSE(name.starts_with("out")) << name;
  };
  TrainTokenizerOptions wrong = options("out", "bpe");
  wrong.inputs = {path("small.txt")};
  for (const char* type : {"bpe", "unigram"}) {
    wrong.model_type = type;
    refused(wrong, "no tokenizer of 400 pieces can be learned from 14 bytes of text: ");
  }
  wrong.vocab_size = 100;
  refused(wrong, "100 pieces is too small");
  wrong = options("out", "word");
  refused(wrong, "\"word\" is not known");
  wrong = options("out", "bpe");
  wrong.inputs = {path("empty.txt")};
  refused(wrong, "no text");
  wrong.inputs = {path("broken.txt")};
  refused(wrong, "broken.txt is not UTF-8: its byte 4 is 0xff");
  wrong.inputs = {path("code.txt"), path("broken.txt")};  // found while the library asks for more
  refused(wrong, "broken.txt is not UTF-8: its byte 4 is 0xff");
  wrong.skip_invalid = true;
  EXPECT_EQ(train_tokenizer(wrong).skipped, 1);
  EXPECT_EQ(read_text(path("out")), read_text(path("bpe")));
}

// Models of other people have an end-of-sequence piece and no <eod>, and put a space before every text.
TEST_F(SentencePieceTest, ForeignModelsAreRead) {
  const auto train_foreign = [&](const std::string& name, const std::string& settings) {
    const auto status = sentencepiece::SentencePieceTrainer::Train(
        "--minloglevel=2 --model_type=bpe --vocab_size=300 --normalization_rule_name=identity --input=" +
        path("code.txt") + " --model_prefix=" + path(name) + " " + settings);
    ASSERT_TRUE(status.ok()) << status.ToString();
  };
  train_foreign("eos", "--remove_extra_whitespaces=false");
  const auto tokenizer = make_tokenizer(path("eos.model"));
  EXPECT_EQ(tokenizer->eod(), 2);
  const Tokens ids = tokenizer->encode("return (1)");
  EXPECT_EQ(printed(*tokenizer, ids), " return (1)");
  EXPECT_EQ(tokenizer->decode(ids), "return (1)");
  EXPECT_EQ(tokenizer->decode(Tokens{1, 2}), "");               // <s> and </s>
  const Tokens rest = tokenizer->encode("in \xE6\xBA\xAF in");  // no piece and no bytes: <unk>
  EXPECT_EQ(tokenizer->decode(rest), "in  \xE2\x81\x87  in");

  train_foreign("normal", "--user_defined_symbols=<eod>");
  EXPECT_EQ(make_tokenizer(path("normal.model"))->eod(), 3);
  EXPECT_EQ(make_tokenizer(path("normal.model"))->token_text(3), "");

  train_foreign("none", "--eos_id=-1");
  EXPECT_NE(user_error_of([&] {
              make_tokenizer(path("none.model"));
            }).find("neither a piece \"<eod>\" nor an end-of-sequence piece"),
            std::string::npos);
}

TEST_F(SentencePieceTest, WhatIsNoModelIsRefused) {
  EXPECT_NE(
      user_error_of([&] { make_tokenizer(path("missing.model")); }).find("missing.model does not exist"),
      std::string::npos);
  write_bytes(*folder_ / "none.model", "");
  EXPECT_NE(user_error_of([&] { make_tokenizer(path("none.model")); }).find("is not a SentencePiece model"),
            std::string::npos);
  const std::string model = read_text(path("bpe"));
  for (const std::string& damaged :
       {made_up_text(3, 500), model.substr(0, model.size() / 2), model.substr(1)}) {
    write_bytes(*folder_ / "none.model", damaged);
    EXPECT_NE(user_error_of([&] { make_tokenizer(path("none.model")); }).find("none.model"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace headwater
