#include "src/data/indexed_dataset_writer.h"

#include "headwater/data/dataset_tools.h"
#include "tests/data/data_support.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

namespace headwater {
namespace {

Tokens all_tokens(const std::string& prefix) {
  const IndexedDataset dataset(prefix);
  Tokens tokens(static_cast<std::size_t>(dataset.tokens()));
  dataset.read(0, tokens);
  return tokens;
}

TEST(IndexedDatasetWriter, TheBytesAreMegatrons) {
  const TemporaryFolder folder;
  write_dataset(folder / "d", {{1, 2, 0}, {258}});
  EXPECT_EQ(read_text(folder / "d.bin"), std::string("\1\0\2\0\0\0\2\1", 8));
  const std::string expected = std::string("MMIDIDX\0\0", 9) + std::string("\1\0\0\0\0\0\0\0", 8) + "\10" +
                               std::string("\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0", 16) +
                               std::string("\3\0\0\0\1\0\0\0", 8) +
                               std::string("\0\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0", 16) +
                               std::string("\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 24);
  EXPECT_EQ(read_text(folder / "d.idx"), expected);
  EXPECT_EQ(names_in(folder.path()).size(), 2u);
}

TEST(IndexedDatasetWriter, TypeFollowsMegatronsRule) {
  EXPECT_EQ(token_type_for(257), TokenType::uint16);
  EXPECT_EQ(token_type_for(65499), TokenType::uint16);
  EXPECT_EQ(token_type_for(65500), TokenType::int32);
}

TEST(IndexedDatasetWriter, ManySequencesPassThroughTheSpill) {
  const TemporaryFolder folder;
  const std::string prefix = (folder / "d").native();
  IndexedDatasetWriter writer(prefix, TokenType::int32);
  for (std::int32_t i = 0; i < 40000; ++i) {
    writer.append(counted(i % 3, i));
    writer.end_sequence();
    if (i % 2 == 1) writer.end_document();
  }
  writer.finish();
  const IndexedDataset dataset(prefix);
  EXPECT_EQ(dataset.sequences(), 40000);
  EXPECT_EQ(dataset.documents(), 20000);
  EXPECT_EQ(dataset.tokens(), 39999);
  std::int64_t position = 0;
  for (std::int32_t i = 0; i < 40000; ++i) {
    ASSERT_EQ(dataset.sequence_length(i), i % 3);
    ASSERT_EQ(dataset.document_first_token(i / 2), i % 2 == 0 ? position : position - (i - 1) % 3);
    Tokens tokens(static_cast<std::size_t>(i % 3));
    dataset.read(position, tokens);
    ASSERT_EQ(tokens, counted(i % 3, i));
    position += i % 3;
  }
}

TEST(IndexedDatasetWriter, WithoutFinishNothingIsLeft) {
  const TemporaryFolder folder;
  {
    IndexedDatasetWriter writer((folder / "d").native(), TokenType::uint16);
    writer.append(counted(100000));
    writer.end_sequence();
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

// Every write, sync, close and rename fails in turn. In the end there is no dataset, or the whole older one
// if nothing had been replaced yet.
TEST(IndexedDatasetWriter, AFaultAtAnyCallLeavesNothingHalfWritten) {
  const Tokens older = {9, 9};
  for (const bool replaces : {false, true}) {
    int faults = 0, kept = 0;
    for (bool failed = true; failed;) {
      const TemporaryFolder folder;
      if (replaces) write_dataset(folder / "d", {older});
      inject_write_fault(static_cast<std::uint64_t>(faults + 1), ENOSPC);
      try {
        write_dataset(folder / "d", {counted(50), {1, 2}});
        failed = false;
      } catch (const SystemError& error) {
        EXPECT_NE(std::string(error.what()).find("No space left"), std::string::npos);
        ++faults;
      }
      inject_write_fault(0, 0);
      if (failed && names_in(folder.path()).empty()) continue;
      EXPECT_EQ(names_in(folder.path()).size(), 2u) << "call " << faults;
      EXPECT_EQ(all_tokens((folder / "d").native()).size(), failed ? older.size() : 52u) << "call " << faults;
      kept += failed;
    }
    EXPECT_GT(faults, 8);
    EXPECT_EQ(kept > 0, replaces);
  }
}

TEST(DatasetTools, InfoCountsAndFindsTheLargestToken) {
  const TemporaryFolder folder;
  const std::string prefix = write_dataset(folder / "d", {counted(10000, 5), {65000}, {1}});
  const DatasetInfo info = dataset_info(prefix);
  EXPECT_EQ(info.sequences, 3);
  EXPECT_EQ(info.documents, 3);
  EXPECT_EQ(info.tokens, 10002);
  EXPECT_EQ(info.largest_token, 65000);
  EXPECT_EQ(name(info.type), "uint16");
}

TEST(DatasetTools, MergeKeepsOrderAndDocuments) {
  const TemporaryFolder folder;
  const std::string a = write_dataset(folder / "a", {{1, 2, 0}, {3, 0}});
  const std::string b = write_dataset(folder / "b", {counted(200000), {70000}}, TokenType::int32);
  const std::string same = (folder / "same").native(), both = (folder / "both").native();

  DatasetInfo info = merge_datasets({{a, a}, same});
  EXPECT_EQ(info.documents, 4);
  EXPECT_EQ(info.type, TokenType::uint16);
  EXPECT_EQ(all_tokens(same), (Tokens{1, 2, 0, 3, 0, 1, 2, 0, 3, 0}));

  std::int64_t last = 0;
  info = merge_datasets({{a, b, a}, both}, [&](std::int64_t tokens, std::int64_t total) {
    EXPECT_GE(tokens, last);
    EXPECT_EQ(total, 200011);
    last = tokens;
  });
  EXPECT_EQ(last, 200011);
  EXPECT_EQ(info.largest_token, 199999);
  EXPECT_EQ(info.type, TokenType::int32);
  const IndexedDataset dataset(both);
  EXPECT_EQ(dataset.documents(), 6);
  EXPECT_EQ(dataset.document_first_token(2), 5);
  EXPECT_EQ(dataset.document_first_token(3), 200005);
  Tokens tail(6);
  dataset.read(200005, tail);
  EXPECT_EQ(tail, (Tokens{70000, 1, 2, 0, 3, 0}));
}

TEST(DatasetTools, MergeRefusesNegativeTokensAndLeavesNothing) {
  const TemporaryFolder folder;
  const std::string a = write_dataset(folder / "a", {{1, -7, 0}}, TokenType::int32);
  const std::string error = user_error_of([&] { merge_datasets({{a}, (folder / "m").native()}); });
  EXPECT_NE(error.find("token -7 at position 1"), std::string::npos) << error;
  EXPECT_EQ(names_in(folder.path()).size(), 2u);
}

TEST(DatasetTools, MergeOntoAnInputWorks) {
  const TemporaryFolder folder;
  const std::string a = write_dataset(folder / "a", {{1, 0}});
  merge_datasets({{a, a, a}, a});
  EXPECT_EQ(all_tokens(a), (Tokens{1, 0, 1, 0, 1, 0}));
}

}  // namespace
}  // namespace headwater
