#pragma once
// Reads a file front to back. It does not map the file, so that memory stays constant, and a failing disk is
// an error and not a signal. Belongs to one thread.

#include "headwater/base/file.h"

#include <cstddef>
#include <span>

namespace headwater {

class InputFile {
 public:
  explicit InputFile(const Path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  // Fills `buffer` and returns how many bytes were read, which are fewer than its size only at the end of
  // the file.
  std::size_t read(std::span<char> buffer);

 private:
  Path path_;
  int descriptor_;
};

}  // namespace headwater
