#pragma once
// Names for stretches of time, which NVIDIA's profilers show (NVTX, domain "headwater"). Where none looks on,
// and in builds without CUDA, a range costs one test and its name is never made. Any thread may call.

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <utility>

namespace headwater {

// Of the thread that makes it, from there to the end of its scope; ranges nest.
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

  static bool watched();  // a profiler looks on

 private:
  static void push(const std::string& name);
  static void pop();
  bool open_;
};

// One that may end on another thread, and beside others. begin_range gives what end_range takes.
std::uint64_t begin_range(const std::string& name);
void end_range(std::uint64_t range);

}  // namespace headwater
