#include "headwater/data/batch.h"

#include "tests/data/data_support.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>

#include <numeric>

namespace headwater {
namespace {

constexpr std::int32_t kEod = 9;

// Two rows of six; the first ends within a document, the second begins with an eod and ends with one.
const Tokens kTokens = {1, 9, 2, 3, 9, 4, 9, 9, 5, 6, 7, 9};
const Tokens kLabels = {9, 2, 3, 9, 4, 9, 9, 5, 6, 7, 9, 8};
const Tokens kRowPosition = {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5};
const Tokens kRowStart = {0, 0, 0, 0, 0, 0, 6, 6, 6, 6, 6, 6};
const Tokens kDocumentPosition = {0, 1, 0, 1, 2, 0, 0, 0, 0, 1, 2, 3};
const Tokens kDocumentStart = {0, 0, 2, 2, 2, 5, 6, 7, 8, 8, 8, 8};

TEST(Batch, NothingRestartsUnlessAsked) {
  const Batch batch = make_batch(kTokens, kLabels, 2, 6, {.eod = kEod});
  EXPECT_EQ(batch.tokens, kTokens);
  EXPECT_EQ(batch.labels, kLabels);
  EXPECT_EQ(batch.position, kRowPosition);
  EXPECT_EQ(batch.attention_start, kRowStart);
  EXPECT_EQ(batch.lfa_start, kRowStart);
  EXPECT_EQ(batch.unmasked_targets(), 12);
}

TEST(Batch, EverySwitchActsAlone) {
  Batch batch = make_batch(kTokens, kLabels, 2, 6, {.eod = kEod, .reset_position_ids = true});
  EXPECT_EQ(batch.position, kDocumentPosition);
  EXPECT_EQ(batch.attention_start, kRowStart);
  EXPECT_EQ(batch.lfa_start, kRowStart);
  EXPECT_EQ(batch.labels, kLabels);

  batch = make_batch(kTokens, kLabels, 2, 6, {.eod = kEod, .reset_attention_mask = true});
  EXPECT_EQ(batch.position, kRowPosition);
  EXPECT_EQ(batch.attention_start, kDocumentStart);
  EXPECT_EQ(batch.lfa_start, kRowStart);

  batch = make_batch(kTokens, kLabels, 2, 6, {.eod = kEod, .reset_lfa = true});
  EXPECT_EQ(batch.position, kRowPosition);
  EXPECT_EQ(batch.attention_start, kRowStart);
  EXPECT_EQ(batch.lfa_start, kDocumentStart);

  batch = make_batch(kTokens, kLabels, 2, 6, {.eod = kEod, .eod_mask_loss = true});
  EXPECT_EQ(batch.labels, (Tokens{9, -1, 3, 9, -1, 9, -1, -1, 6, 7, 9, -1}));
  EXPECT_EQ(batch.unmasked_targets(), 7);
  EXPECT_EQ(batch.position, kRowPosition);
}

TEST(Batch, LabelsMayBeMaskedOrMissing) {
  Tokens labels = kLabels;
  labels[3] = kMaskedLabel;
  EXPECT_EQ(make_batch(kTokens, labels, 2, 6, {}).unmasked_targets(), 11);
  const Batch batch = make_batch(kTokens, {}, 2, 6, {});
  EXPECT_EQ(batch.unmasked_targets(), 0);
  EXPECT_EQ(batch.labels.size(), kTokens.size());
}

TEST(Batch, RowsOfTheStreamAreInputsAndTheirSuccessors) {
  const TemporaryFolder folder;
  Tokens tokens = counted(101);
  for (std::size_t i = 6; i < tokens.size(); i += 7) tokens[i] = kEod;
  SampleStreamOptions options;
  options.sources = {{write_dataset(folder / "d", {tokens}), 1.0}};
  options.seq_length = 10;
  options.vocab_size = 200;
  const SampleStream stream(options);
  const DocumentOptions documents{.eod = kEod, .reset_attention_mask = true, .eod_mask_loss = true};
  const Batch batch = make_batch(stream, 9, 3, documents);  // over the epoch's end
  EXPECT_EQ(batch.first_sample, 9);
  std::int64_t eods = 0;
  for (std::int64_t row = 0; row < 3; ++row) {
    const Tokens sample = stream.get(9 + row);
    for (std::int64_t i = 0; i < 10; ++i) {
      const auto t = static_cast<std::size_t>(row * 10 + i), s = static_cast<std::size_t>(i);
      EXPECT_EQ(batch.tokens[t], sample[s]);
      EXPECT_EQ(batch.labels[t], sample[s] == kEod ? kMaskedLabel : sample[s + 1]);
      eods += sample[s] == kEod;
    }
  }
  EXPECT_GT(eods, 0);
  EXPECT_EQ(batch.unmasked_targets(), 30 - eods);
}

TEST(Batch, ASwitchWithoutAnEodIsRefused) {
  DocumentOptions options;
  options.reset_lfa = true;
  EXPECT_EQ(user_error_of([&] { make_batch(kTokens, kLabels, 2, 6, options); }),
            "data.reset_lfa is set, but no end of document is known: set data.eod or data.tokenizer");
  options = {};
  options.eod_mask_loss = true;
  EXPECT_NE(user_error_of([&] { make_batch(kTokens, {}, 2, 6, options); }).find("data.eod_mask_loss"),
            std::string::npos);
}

}  // namespace
}  // namespace headwater
