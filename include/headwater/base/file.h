#pragma once
// Files: reading by memory map, writing through one layer, and the atomic replacement of a whole file.
//
// Every write, sync and rename of the program passes through here, so that tests can inject a fault at each
// in turn: HEADWATER_FAIL_WRITE=N[:ERRNO] makes the N-th write, sync, rename or close of this process fail
// with that errno (ENOSPC if none is given). Errors of the system are thrown by throw_errno. Each object
// belongs to one thread.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {

using Path = std::filesystem::path;

// A read-only map of a whole file. It can be moved, not copied. An empty file maps to an empty span.
class MappedFile {
 public:
  explicit MappedFile(const Path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
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

// A file that is written front to back (`create`) or at its end (`append`), through a buffer. Call close()
// to hear of late errors: the destructor of a file that is still open writes the buffer and closes the file,
// and ignores errors.
class OutputFile {
 public:
  static OutputFile create(const Path& path);  // truncates
  static OutputFile append(const Path& path);  // creates it if it does not exist
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  template <class T>
  void write_value(const T& value) {
    write(std::as_bytes(std::span<const T, 1>(&value, 1)));
  }
  void flush();  // gives the buffer to the system
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

// Replaces a whole file or leaves it alone. out() writes PATH.tmp-PID beside PATH; commit() syncs that file,
// renames it to PATH and syncs the folder. Without commit() the destructor removes the temporary file, and
// PATH is untouched.
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
void remove_tree(const Path& path);  // a file or a folder with all below; it need not exist
void sync_folder(const Path& path);
std::uint64_t file_hash(const Path& path);  // xxHash64 (XXH3) of the contents

// Injects the fault of HEADWATER_FAIL_WRITE from within the process: counted call number `call` from now on
// fails, once, with the errno `error`. 0 injects none.
void inject_write_fault(std::uint64_t call, int error);

// An advisory lock (flock) on a file, which is created if it does not exist. A path has one holder at a
// time. The destructor releases the lock, and so does the death of the process.
class FileLock {
 public:
  // Throws UserError if the lock has a holder. `what` names the locked thing in the message.
  FileLock(const Path& path, std::string_view what);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;

 private:
  Path path_;
  int descriptor_ = -1;
};

}  // namespace headwater
