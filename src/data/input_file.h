#pragma once
// A file read front to back, without mapping it: memory stays constant, and a failing disk is an error, not a
// signal. Private to the room; one thread.

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

  // Fills `buffer` as far as the file goes; less than its size only at the end.
  std::size_t read(std::span<char> buffer);

 private:
  Path path_;
  int descriptor_;
};

}  // namespace headwater
