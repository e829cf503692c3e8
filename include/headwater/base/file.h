#pragma once
// Files: reading by memory map, writing through one layer, and the atomic replacement of a whole file.
//
// Every write, sync and rename of the program passes through here, so that a fault can be injected at each in
// turn (HEADWATER_FAIL_WRITE=N[:ERRNO] makes the N-th write, sync, rename or close of this process fail, with
// ENOSPC unless said; tests use it). Errors go through throw_errno. Objects are owned by one thread.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {

using Path = std::filesystem::path;

// A read-only map of a whole file; moves, never copies. An empty file maps to an empty span.
class MappedFile {
 public:
  explicit MappedFile(const Path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const Path& path() const { return path_; }
  std::size_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  Path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// A file that is written front to back (`create`) or at its end (`append`), buffered. close() reports late
// errors; a destructor that finds the file still open hands over what is buffered and closes it, silently.
class OutputFile {
 public:
  static OutputFile create(const Path& path);  // truncates
  static OutputFile append(const Path& path);  // creates where missing
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  template <class T>
  void write_value(const T& value) {
    write(std::as_bytes(std::span<const T, 1>(&value, 1)));
  }
  void flush();  // hands the buffer to the system
  void sync();   // flush, then fsync
  void close();
  std::uint64_t offset() const { return offset_; }  // bytes written so far through this object
  const Path& path() const { return path_; }

 private:
  OutputFile(const Path& path, int flags);
  Path path_;
  int descriptor_ = -1;
  std::uint64_t offset_ = 0;
  std::vector<std::byte> buffer_;
};

// Writes PATH.tmp-PID beside PATH; commit() syncs it, renames it over PATH and syncs the folder. Without
// commit the temporary file is removed and PATH is untouched.
class AtomicFile {
 public:
  explicit AtomicFile(const Path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  OutputFile& out() { return out_; }
  void commit();

 private:
  Path path_, temporary_;
  OutputFile out_;
  bool committed_ = false;
};

std::string read_text(const Path& path);
void write_text_atomically(const Path& path, std::string_view text);
void make_folders(const Path& path);                    // mkdir -p
void rename_durably(const Path& from, const Path& to);  // rename, then sync of the folder
void remove_tree(const Path& path);                     // no error where it does not exist
void sync_folder(const Path& path);
std::uint64_t file_hash(const Path& path);  // xxHash64 (XXH3) of the contents

// The fault of HEADWATER_FAIL_WRITE, set within the process: the `call`-th counted call from now on fails
// once; 0: none.
void inject_write_fault(std::uint64_t call, int error);

// An advisory lock on a file (flock, created where missing); two holders on one path cannot be. Released by
// the destructor or by the death of the process.
class FileLock {
 public:
  // Throws UserError where another process holds it; `what` names the thing in that message.
  FileLock(const Path& path, std::string_view what);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;

 private:
  Path path_;
  int descriptor_ = -1;
};

}  // namespace headwater
