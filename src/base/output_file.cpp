#include "counted_calls.h"
#include "headwater/base/error.h"
#include "headwater/base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace headwater {
namespace {

constexpr std::size_t kBufferSize = std::size_t{1} << 20;

void write_all(int descriptor, std::span<const std::byte> bytes, const Path& path) {
  while (!bytes.empty()) {
    const long written = counted::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_errno(errno, "write", path.native());
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

// Syncs the file. EINVAL is no error: it says that the file is of a kind that cannot be synced (a pipe, a
// terminal, folders of some file systems).
void sync_descriptor(int descriptor, const Path& path) {
  while (counted::sync(descriptor) != 0) {
    if (errno == EINVAL) return;
    if (errno != EINTR) throw_errno(errno, "sync", path.native());
  }
}

// Returns `path`, or throws UserError if it names something that AtomicFile's rename must not replace: a
// device, a pipe, or a link to one.
const Path& replaceable(const Path& path) {
  std::error_code error;  // ignored: if looking is not permitted, opening fails and says so
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    throw UserError("cannot write {}: it is not a regular file, which could be replaced as a whole",
                    path.native());
  return path;
}

Path folder_of(const Path& path) { return path.has_parent_path() ? path.parent_path() : Path("."); }

}  // namespace

OutputFile OutputFile::create(const Path& path) { return OutputFile(path, O_TRUNC); }

OutputFile OutputFile::append(const Path& path) { return OutputFile(path, O_APPEND); }

OutputFile::OutputFile(const Path& path, int flags) : path_(path) {
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
  if (descriptor_ < 0) throw_errno(errno, "create", path.native());
  buffer_.reserve(kBufferSize);
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  try {
    flush();
  } catch (...) {
    // Callers that want to hear of errors call close().
  }
  ::close(descriptor_);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  HW_CHECK(descriptor_ >= 0, "{} is written after it was closed", path_.native());
  if (buffer_.size() + bytes.size() > kBufferSize) flush();
  if (bytes.size() >= kBufferSize)
    write_all(descriptor_, bytes, path_);
  else
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  offset_ += bytes.size();
}

void OutputFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void OutputFile::flush() {
  // The buffer is emptied first. After an error nobody knows how much of it has been written, and no part
  // may be written twice.
  std::vector<std::byte> bytes;
  bytes.swap(buffer_);
  write_all(descriptor_, bytes, path_);
  bytes.clear();
  buffer_.swap(bytes);
}

void OutputFile::sync() {
  flush();
  sync_descriptor(descriptor_, path_);
}

void OutputFile::close() {
  flush();
  // The descriptor is never closed twice: the system frees it even if close() reports an error.
  if (counted::close(std::exchange(descriptor_, -1)) != 0) throw_errno(errno, "close", path_.native());
}

AtomicFile::AtomicFile(const Path& path)
    : path_(replaceable(path)),
      temporary_(path.native() + ".tmp-" + std::to_string(::getpid())),
      out_(OutputFile::create(temporary_)) {}

AtomicFile::~AtomicFile() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::commit() {
  out_.sync();
  out_.close();
  rename_durably(temporary_, path_);
  committed_ = true;
}

void write_text_atomically(const Path& path, std::string_view text) {
  AtomicFile file(path);
  file.out().write(text);
  file.commit();
}

void rename_durably(const Path& from, const Path& to) {
  if (counted::rename(from.c_str(), to.c_str()) != 0) throw_errno(errno, "rename", from.native());
  sync_folder(folder_of(to));
}

void sync_folder(const Path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw_errno(errno, "open folder", path.native());
  try {
    sync_descriptor(descriptor, path);
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  ::close(descriptor);
}

}  // namespace headwater
