#include "headwater/base/file.h"

#include "headwater/base/error.h"
#include "headwater/base/hash.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace headwater {
namespace {

class ReadDescriptor {
 public:
  explicit ReadDescriptor(const Path& path)
      : path_(path), number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (number_ < 0) throw_errno(errno, "open", path.native());
  }
  ~ReadDescriptor() { ::close(number_); }
  ReadDescriptor(const ReadDescriptor&) = delete;
  ReadDescriptor& operator=(const ReadDescriptor&) = delete;

  int number() const { return number_; }

  // Returns the part of `buffer` that was filled, which is empty at the end of the file.
  std::span<const char> read(std::span<char> buffer) const {
    for (;;) {
      const ssize_t count = ::read(number_, buffer.data(), buffer.size());
      if (count >= 0) return buffer.first(static_cast<std::size_t>(count));
      if (errno != EINTR) throw_errno(errno, "read", path_.native());
    }
  }

 private:
  const Path& path_;
  int number_;
};

constexpr std::size_t kReadBlock = std::size_t{1} << 20;

}  // namespace

MappedFile::MappedFile(const Path& path) : path_(path) {
  const ReadDescriptor file(path);
  struct stat status = {};
  if (::fstat(file.number(), &status) != 0) throw_errno(errno, "read the size of", path.native());
  if (S_ISDIR(status.st_mode)) throw_errno(EISDIR, "read", path.native());
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;
  void* memory = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.number(), 0);
  if (memory == MAP_FAILED) throw_errno(errno, "map", path.native());
  data_ = static_cast<const std::byte*>(memory);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

std::string read_text(const Path& path) {
  const ReadDescriptor file(path);
  std::string text;
  std::vector<char> buffer(kReadBlock);
  for (auto part = file.read(buffer); !part.empty(); part = file.read(buffer))
    text.append(part.data(), part.size());
  return text;
}

std::uint64_t file_hash(const Path& path) {
  // The file is read and not mapped, so that a failing disk is an error and not a SIGBUS.
  const ReadDescriptor file(path);
  ContentHash hash;
  std::vector<char> buffer(kReadBlock);
  for (auto part = file.read(buffer); !part.empty(); part = file.read(buffer)) hash.add(std::as_bytes(part));
  return hash.digest();
}

void make_folders(const Path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw_errno(error.value(), "make folder", path.native());
}

void remove_tree(const Path& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) throw_errno(error.value(), "remove", path.native());
}

FileLock::FileLock(const Path& path, std::string_view what) : path_(path) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_errno(errno, "open", path.native());
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
  const int error = errno;
  ::close(descriptor_);
  if (error == EWOULDBLOCK)
    throw UserError("{} is in use: another run holds its lock {}", what, path.native());
  throw_errno(error, "lock", path.native());
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FileLock::FileLock(FileLock&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

}  // namespace headwater
