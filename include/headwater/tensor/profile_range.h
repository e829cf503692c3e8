#pragma once
// Named ranges of time that NVIDIA's profilers show (NVTX, domain "headwater").
//
// Without a profiler, and in builds without CUDA, a range costs one test and its name is not formatted. Any
// thread may call.

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <utility>

namespace headwater {

// A range of the calling thread that lasts until the object's scope ends. Ranges nest.
class ProfileRange {
 public:
  template <class... Args>
  explicit ProfileRange(fmt::format_string<Args...> format, Args&&... args) : open_(watched()) {
    if (open_) push(fmt::format(format, std::forward<Args>(args)...));
  }
  ~ProfileRange() {
    if (open_) pop();
  }
  ProfileRange(const ProfileRange&) = delete;
  ProfileRange& operator=(const ProfileRange&) = delete;

  static bool watched();  // whether a profiler is attached

 private:
  static void push(const std::string& name);
  static void pop();
  bool open_;
};

// A range that may end on another thread, and that need not nest. begin_range returns its id, which
// end_range takes.
std::uint64_t begin_range(const std::string& name);
void end_range(std::uint64_t range);

}  // namespace headwater
