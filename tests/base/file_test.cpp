#include "headwater/base/file.h"

#include "headwater/base/bytes.h"
#include "headwater/base/error.h"
#include "headwater/base/hash.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

namespace headwater {
namespace {

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(File, WrittenInPiecesOfEverySizeAndReadBack) {
  const TemporaryFolder folder;
  std::string expected;
  OutputFile file = OutputFile::create(folder / "f");
  for (const std::size_t size : {1, 0, 1000, 1 << 20, (1 << 20) - 1, 3, 3 << 20, 7}) {
    const std::string piece(size, static_cast<char>('a' + size % 26));
    file.write(piece);
    expected += piece;
    EXPECT_EQ(file.offset(), expected.size());
  }
  file.write_value(std::uint32_t{0x64636261});
  expected += "abcd";
  file.close();
  EXPECT_EQ(read_text(folder / "f"), expected);
  EXPECT_EQ(as_text(MappedFile(folder / "f").bytes()), expected);
}

TEST(File, CreateTruncatesAndAppendAppends) {
  const TemporaryFolder folder;
  for (const char* text : {"long first", "one "}) {
    OutputFile file = OutputFile::create(folder / "f");
    file.write(text);
    file.close();
  }
  for (const char* text : {"two ", "three"}) {
    OutputFile file = OutputFile::append(folder / "f");
    file.write(text);
    EXPECT_EQ(file.offset(), std::strlen(text));
    file.close();
  }
  OutputFile::append(folder / "new").close();
  EXPECT_EQ(read_text(folder / "f"), "one two three");
  EXPECT_EQ(read_text(folder / "new"), "");
}

TEST(File, FlushShowsWhatWasWrittenAndADestructorLosesNothing) {
  const TemporaryFolder folder;
  {
    OutputFile file = OutputFile::create(folder / "f");
    file.write("flushed");
    EXPECT_EQ(read_text(folder / "f"), "");
    file.flush();
    EXPECT_EQ(read_text(folder / "f"), "flushed");
    file.write(" buffered");
  }
  EXPECT_EQ(read_text(folder / "f"), "flushed buffered");
}

TEST(File, MapsOfEmptyFilesAndMoves) {
  const TemporaryFolder folder;
  write_text_atomically(folder / "empty", "");
  write_text_atomically(folder / "full", "text");
  EXPECT_TRUE(MappedFile(folder / "empty").bytes().empty());
  MappedFile full(folder / "full");
  const MappedFile moved(std::move(full));
  EXPECT_EQ(full.size(), 0U);
  EXPECT_EQ(as_text(moved.bytes()), "text");
  EXPECT_EQ(moved.path(), folder / "full");
}

TEST(File, ErrorsNameThePath) {
  const TemporaryFolder folder;
  const Path missing = folder / "no/such";
  EXPECT_THROW(MappedFile{missing}, UserError);
  EXPECT_THROW(MappedFile{folder.path()}, UserError);
  EXPECT_THROW(read_text(folder.path()), UserError);
  EXPECT_THROW(OutputFile::create(missing), UserError);
  EXPECT_THROW(rename_durably(missing, folder / "x"), UserError);
  EXPECT_EQ(message_of([&] { read_text(missing); }),
            "cannot open " + missing.native() + ": No such file or directory");
}

TEST(File, HashIsXxh3OfTheContents) {
  const TemporaryFolder folder;
  write_text_atomically(folder / "empty", "");
  EXPECT_EQ(file_hash(folder / "empty"),
            0x2D06800538D394C2ULL);  // XXH3_64bits of no bytes, from its specification
  write_text_atomically(folder / "a", std::string(3 << 20, 'a'));
  write_text_atomically(folder / "b", std::string((3 << 20) - 1, 'a') + "b");
  EXPECT_NE(file_hash(folder / "a"), file_hash(folder / "b"));
  ContentHash in_pieces;
  for (std::size_t left = 3 << 20, piece = 1; left > 0; left -= piece, piece = std::min(left, piece * 3)) {
    const std::string text(piece, 'a');
    in_pieces.add(std::as_bytes(std::span(text)));
  }
  EXPECT_EQ(file_hash(folder / "a"), in_pieces.digest());
}

TEST(File, FoldersAreMadeAndRemoved) {
  const TemporaryFolder folder;
  make_folders(folder / "a/b/c");
  make_folders(folder / "a/b/c");
  write_text_atomically(folder / "a/b/file", "x");
  EXPECT_THROW(make_folders(folder / "a/b/file"), UserError);
  EXPECT_THROW(make_folders(folder / "a/b/file/d"), UserError);
  remove_tree(folder / "a");
  remove_tree(folder / "a");
  EXPECT_FALSE(std::filesystem::exists(folder / "a"));
  EXPECT_THROW(remove_tree(folder / std::string(300, 'x')), SystemError) << "a name that is too long";
}

// The system itself reports a full disk here.
TEST(File, AFullDeviceIsASystemError) {
  OutputFile file = OutputFile::create("/dev/full");
  file.write("text");
  EXPECT_EQ(message_of([&] { file.close(); }), "cannot write /dev/full: No space left on device");
}

TEST(AtomicFile, WithoutCommitNothingChanges) {
  const TemporaryFolder folder;
  write_text_atomically(folder / "f", "old");
  {
    AtomicFile file(folder / "f");
    file.out().write("new");
    EXPECT_TRUE(std::filesystem::exists((folder / "f").native() + ".tmp-" + std::to_string(getpid())));
  }
  EXPECT_EQ(read_text(folder / "f"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

// Makes every call that could fail do so in turn, for a file that is written in several pieces.
TEST(AtomicFile, OnlyARegularFileIsReplaced) {
  const TemporaryFolder folder;
  const Path pipe = folder / "pipe", link = folder / "link";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::filesystem::create_symlink(pipe, link);
  for (const Path& path : {pipe, link, folder / "."}) {
    EXPECT_THROW(write_text_atomically(path, "text"), UserError) << path;
    EXPECT_TRUE(message_of([&] { write_text_atomically(path, "text"); }).find(path.native()) !=
                std::string::npos);
  }
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_TRUE(std::filesystem::is_symlink(link));
}

TEST(AtomicFile, AFaultAtAnyCallLeavesOldOrNewAndNoTemporary) {
  const std::string text = "new" + std::string(5 << 19, 'x');
  int faults = 0, new_after_fault = 0;
  for (bool whole = false; !whole;) {
    const TemporaryFolder folder;
    write_text_atomically(folder / "f", "old");
    inject_write_fault(static_cast<std::uint64_t>(faults + 1), ENOSPC);
    try {
      AtomicFile file(folder / "f");
      for (std::size_t at = 0; at < text.size(); at += 1000)
        file.out().write(std::string_view(text).substr(at, 1000));
      file.commit();
      whole = true;
    } catch (const SystemError& error) {
      EXPECT_NE(std::string(error.what()).find("No space left on device"), std::string::npos) << error.what();
      ++faults;
    }
    inject_write_fault(0, 0);
    const std::string found = read_text(folder / "f");
    EXPECT_TRUE(found == "old" || found == text) << faults;
    EXPECT_TRUE(!whole || found == text);
    if (!whole && found == text) ++new_after_fault;
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << faults;
  }
  EXPECT_EQ(faults, 3 + 4);       // three writes; sync, close, rename, sync of the folder
  EXPECT_EQ(new_after_fault, 1);  // only the last comes after the rename
}

// The environment is read once, so each case runs in a new process.
TEST(WriteFaultDeathTest, IsTakenFromTheEnvironment) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto sync_until_an_error = [] {
    for (int call = 1; call <= 3; ++call) {
      try {
        sync_folder("/tmp");
      } catch (const Error& error) {
        std::fprintf(stderr, "call %d: %s\n", call, error.what());
        std::_Exit(error.exit_code());
      }
    }
    std::_Exit(0);
  };
  struct Case {
    const char* value;
    int exit_code;
    const char* message;
  };
  for (const Case& c : {Case{"1", 3, "call 1: .*No space left"}, Case{"3", 3, "call 3: .*No space left"},
                        Case{"2:5", 3, "call 2: .*Input/output error"}, Case{"4", 0, ""}, Case{"", 0, ""},
                        Case{"two", 2, "FAIL_WRITE is \"two\""}, Case{"2:", 2, "FAIL_WRITE"},
                        Case{"2:5x", 2, "FAIL_WRITE"}}) {
    ::setenv("HEADWATER_FAIL_WRITE", c.value, 1);
    EXPECT_EXIT(sync_until_an_error(), testing::ExitedWithCode(c.exit_code), c.message) << c.value;
  }
  ::unsetenv("HEADWATER_FAIL_WRITE");
}

TEST(FileLock, ASecondHolderIsRefusedUntilTheFirstIsGone) {
  const TemporaryFolder folder;
  const Path path = folder / "lock";
  {
    FileLock first(path, "save folder X");
    const FileLock moved(std::move(first));
    EXPECT_THROW(FileLock(path, "save folder X"), UserError);
    EXPECT_EQ(message_of([&] { FileLock(path, "save folder X"); }),
              "save folder X is in use: another run holds its lock " + path.native());
  }
  FileLock again(path, "save folder X");
}

}  // namespace
}  // namespace headwater
