#include "headwater/data/indexed_dataset.h"

#include "tests/data/data_support.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cstring>

namespace headwater {
namespace {

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// An index put together byte by byte, as Megatron writes it.
struct Index {
  std::string magic{"MMIDIDX\0\0", 9};
  std::uint64_t version = 1;
  std::uint8_t type = 8;
  std::vector<std::int32_t> lengths = {3, 0, 2, 4};
  std::vector<std::int64_t> pointers = {0, 6, 6, 10};
  std::vector<std::int64_t> documents = {0, 2, 3, 4};
  std::string modes;

  std::string bytes() const {
    return magic + raw<std::uint64_t>({version}) + raw<std::uint8_t>({type}) +
           raw<std::uint64_t>({lengths.size(), documents.size()}) + raw(lengths) + raw(pointers) +
           raw(documents) + modes;
  }
};

class IndexedDatasetTest : public testing::Test {
 protected:
  IndexedDataset open(const Index& index, const std::string& bin) {
    write_bytes(folder_ / "d.idx", index.bytes());
    write_bytes(folder_ / "d.bin", bin);
    return IndexedDataset(prefix());
  }
  std::string error(const Index& index) {
    return user_error_of([&] { open(index, bin_); });
  }
  void expect_error(const Index& index, const std::string& part) {
    EXPECT_NE(error(index).find(part), std::string::npos) << error(index);
    EXPECT_NE(error(index).find(folder_.path().native()), std::string::npos) << error(index);
  }
  std::string prefix() const { return (folder_ / "d").native(); }

  TemporaryFolder folder_;
  std::string bin_ = raw<std::uint16_t>({10, 11, 12, 20, 21, 30, 31, 32, 65535});
};

TEST_F(IndexedDatasetTest, ReadsWhatMegatronWrites) {
  const IndexedDataset dataset = open({}, bin_);
  EXPECT_EQ(dataset.sequences(), 4);
  EXPECT_EQ(dataset.documents(), 3);
  EXPECT_EQ(dataset.tokens(), 9);
  EXPECT_EQ(dataset.type(), TokenType::uint16);
  EXPECT_EQ(dataset.sequence_length(2), 2);
  EXPECT_EQ(dataset.document_first_sequence(1), 2);
  EXPECT_EQ(dataset.document_first_token(1), 3);
  EXPECT_EQ(dataset.document_first_token(3), 9);
  Tokens part(5);
  dataset.read(2, part);
  EXPECT_EQ(part, (Tokens{12, 20, 21, 30, 31}));
}

template <class T>
std::vector<std::int64_t> read_all_of_type(const Path& folder, std::uint8_t type,
                                           const std::vector<T>& values) {
  Index index;
  index.type = type;
  index.lengths = {static_cast<std::int32_t>(values.size())};
  index.pointers = {0};
  index.documents = {0, 1};
  write_bytes(folder / "t.idx", index.bytes());
  write_bytes(folder / "t.bin", raw(values));
  const IndexedDataset dataset((folder / "t").native());
  std::vector<std::int64_t> wide(values.size());
  Tokens narrow(values.size());
  dataset.read(0, wide);
  dataset.read(0, narrow);
  for (std::size_t i = 0; i < wide.size(); ++i)
    EXPECT_EQ(narrow[i], wide[i] == static_cast<std::int32_t>(wide[i]) ? wide[i] : -1);
  return wide;
}

TEST_F(IndexedDatasetTest, ReadsEveryIntegerType) {
  using Wide = std::vector<std::int64_t>;
  const Path& folder = folder_.path();
  EXPECT_EQ(read_all_of_type<std::uint8_t>(folder, 1, {0, 255}), (Wide{0, 255}));
  EXPECT_EQ(read_all_of_type<std::int8_t>(folder, 2, {0, -1, 127}), (Wide{0, -1, 127}));
  EXPECT_EQ(read_all_of_type<std::int16_t>(folder, 3, {-2, 32767}), (Wide{-2, 32767}));
  EXPECT_EQ(read_all_of_type<std::int32_t>(folder, 4, {-3, 2147483647}), (Wide{-3, 2147483647}));
  EXPECT_EQ(read_all_of_type<std::int64_t>(folder, 5, {7, 1L << 40}), (Wide{7, 1L << 40}));
  EXPECT_EQ(read_all_of_type<std::uint16_t>(folder, 8, {65535}), (Wide{65535}));
}

TEST_F(IndexedDatasetTest, SequencesAreDocumentsWhereNoneWasEverClosed) {
  Index index;
  index.documents = {0};
  const IndexedDataset dataset = open(index, bin_);
  EXPECT_EQ(dataset.documents(), 4);
  EXPECT_EQ(dataset.document_first_token(3), 5);
  EXPECT_EQ(dataset.document_first_token(4), 9);
}

TEST_F(IndexedDatasetTest, ModesAreAllowed) {
  Index index;
  index.modes = std::string(4, '\0');
  EXPECT_EQ(open(index, bin_).tokens(), 9);
  index.modes += '\0';
  expect_error(index, "119 bytes; 4 sequences and 4 document entries take 114, or 118 with modes");
}

TEST_F(IndexedDatasetTest, AnEmptyDatasetOpens) {
  Index index;
  index.lengths = {};
  index.pointers = {};
  index.documents = {0};
  const IndexedDataset dataset = open(index, "");
  EXPECT_EQ(dataset.tokens(), 0);
  EXPECT_EQ(dataset.documents(), 0);
}

TEST_F(IndexedDatasetTest, AnIndexCutAnywhereIsRefused) {
  const std::string whole = Index().bytes();
  write_bytes(folder_ / "d.bin", bin_);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_bytes(folder_ / "d.idx", whole.substr(0, size));
    const std::string error = user_error_of([&] { IndexedDataset{prefix()}; });
    EXPECT_NE(error.find(fmt::format("d.idx is cut: it has {} bytes", size)), std::string::npos) << error;
  }
}

TEST_F(IndexedDatasetTest, TokensCutAnywhereAreRefused) {
  write_bytes(folder_ / "d.idx", Index().bytes());
  for (std::size_t size = 0; size < bin_.size(); ++size) {
    write_bytes(folder_ / "d.bin", bin_.substr(0, size));
    const std::string error = user_error_of([&] { IndexedDataset{prefix()}; });
    EXPECT_NE(
        error.find(fmt::format("d.bin is cut: it has {} bytes, its index describes 9 tokens of type uint16, "
                               "18 bytes",
                               size)),
        std::string::npos)
        << error;
  }
}

TEST_F(IndexedDatasetTest, MissingFilesAreNamed) {
  EXPECT_NE(user_error_of([&] { IndexedDataset{prefix()}; }).find("d.idx does not exist"), std::string::npos);
  write_bytes(folder_ / "d.idx", Index().bytes());
  EXPECT_NE(user_error_of([&] { IndexedDataset{prefix()}; }).find("d.bin does not exist"), std::string::npos);
}

TEST_F(IndexedDatasetTest, ContradictionsAreRefused) {
  Index index;
  index.magic = std::string("TNTIDX\0\0\0", 9);
  expect_error(index, "is no Megatron index");
  index = {};
  index.version = 2;
  expect_error(index, "has version 2");
  for (const std::uint8_t type : {0, 6, 7, 9, 255}) {
    index = {};
    index.type = type;
    expect_error(index, fmt::format("has element type {};", type));
  }
  index = {};
  index.lengths[2] = -2;
  expect_error(index, "gives sequence 2 the length -2");
  index = {};
  index.pointers[3] = 8;
  expect_error(index, "puts sequence 3 at byte 8; the sequences before it end at byte 10");
  index = {};
  index.documents = {1, 2, 3, 4};
  expect_error(index, "begins its document index with 1");
  index.documents = {0, 3, 2, 4};
  expect_error(index, "begins document 2 at sequence 2, after one at 3");
  index.documents = {0, 2, 5, 4};
  expect_error(index, "begins document 2 at sequence 5");
  index.documents = {0, -1, 2, 4};
  expect_error(index, "begins document 1 at sequence -1");
  index.documents = {0, 2, 3};
  expect_error(index, "ends its last document at sequence 3 of 4");
  index.documents = {};
  expect_error(index, "empty document index");
}

TEST_F(IndexedDatasetTest, AnAbsurdCountIsRefusedWithoutOverflow) {
  std::string bytes = Index().bytes();
  write_bytes(folder_ / "d.bin", bin_);
  for (const std::size_t at : {18, 26}) {
    for (const std::uint64_t count : {~std::uint64_t{0}, std::uint64_t{1} << 61, std::uint64_t{1} << 56}) {
      std::string damaged = bytes;
      std::memcpy(damaged.data() + at, &count, sizeof(count));
      write_bytes(folder_ / "d.idx", damaged);
      EXPECT_NE(user_error_of([&] { IndexedDataset{prefix()}; }).find(" sequences and "), std::string::npos);
    }
  }
}

TEST(IndexedDatasetGolden, ReadsTheFilesOfAnotherWriter) {
  for (const char* name : {"yuan2", "yuan2-odd"}) {
    const std::string prefix = std::string(HEADWATER_SOURCE_DIR "/tests/golden/") + name + "/data";
    const IndexedDataset dataset(prefix);
    EXPECT_EQ(dataset.type(), TokenType::uint16);
    EXPECT_GT(dataset.documents(), 50);
    // Every document is closed by token 0, and has no other.
    Tokens tokens(static_cast<std::size_t>(dataset.tokens()));
    dataset.read(0, tokens);
    for (std::int64_t d = 0; d < dataset.documents(); ++d) {
      const auto end = static_cast<std::size_t>(dataset.document_first_token(d + 1));
      EXPECT_EQ(tokens[end - 1], 0);
    }
    EXPECT_EQ(std::count(tokens.begin(), tokens.end(), 0), dataset.documents());
  }
}

}  // namespace
}  // namespace headwater
