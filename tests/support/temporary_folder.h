#pragma once
// A folder of its own for a test, removed with all it holds when the object goes.

#include "headwater/base/error.h"
#include "headwater/base/file.h"

#include <cerrno>
#include <cstdlib>
#include <string>

namespace headwater {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "headwater-test-XXXXXX").native();
    if (::mkdtemp(name.data()) == nullptr) throw_errno(errno, "make folder", name);
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const Path& path() const { return path_; }
  Path operator/(std::string_view name) const { return path_ / name; }

 private:
  Path path_;
};

}  // namespace headwater
