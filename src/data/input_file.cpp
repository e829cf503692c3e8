#include "input_file.h"

#include "headwater/base/error.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace headwater {

InputFile::InputFile(const Path& path)
    : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) throw_errno(errno, "open", path.native());
}

InputFile::~InputFile() { ::close(descriptor_); }

std::size_t InputFile::read(std::span<char> buffer) {
  std::size_t filled = 0;
  while (filled < buffer.size()) {
    const ssize_t count = ::read(descriptor_, buffer.data() + filled, buffer.size() - filled);
    if (count == 0) break;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno(errno, "read", path_.native());
    filled += static_cast<std::size_t>(count);
  }
  return filled;
}

}  // namespace headwater
