#pragma once
// The four kinds of error, and the macros that check.
//
// Errors are thrown anywhere and caught once, in `cli`, which prints one line and turns them into an exit
// code. A message is one clear line: it names the thing, what was found and what would be right.

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace headwater {

class Error : public std::runtime_error {
 public:
  int exit_code() const { return exit_code_; }

 protected:
  Error(int exit_code, const std::string& message) : std::runtime_error(message), exit_code_(exit_code) {}

 private:
  int exit_code_;
};

// Exit 2: the person can fix it (usage, config, layout, data or checkpoint that is missing or wrong).
class UserError : public Error {
 public:
  static constexpr int kExitCode = 2;

  template <class... Args>
  explicit UserError(fmt::format_string<Args...> format, Args&&... args)
      : Error(kExitCode, fmt::format(format, std::forward<Args>(args)...)) {}
};

// Exit 3: the system refused (disk full, no permission, out of memory, no device).
class SystemError : public Error {
 public:
  static constexpr int kExitCode = 3;

  template <class... Args>
  explicit SystemError(fmt::format_string<Args...> format, Args&&... args)
      : Error(kExitCode, fmt::format(format, std::forward<Args>(args)...)) {}
};

// Exit 4: a peer was lost, or communication failed.
class CommError : public Error {
 public:
  static constexpr int kExitCode = 4;

  template <class... Args>
  explicit CommError(fmt::format_string<Args...> format, Args&&... args)
      : Error(kExitCode, fmt::format(format, std::forward<Args>(args)...)) {}
};

// Exit 1: a bug in Headwater.
class InternalError : public Error {
 public:
  static constexpr int kExitCode = 1;

  template <class... Args>
  explicit InternalError(fmt::format_string<Args...> format, Args&&... args)
      : Error(kExitCode, fmt::format(format, std::forward<Args>(args)...)) {}
};

// Throws the error for an errno, with the message "cannot {action} {path}: {strerror}": UserError if the
// file does not exist, if it is a folder, or if a part of its path is no folder (ENOENT, EISDIR, ENOTDIR),
// and SystemError for everything else. This is the one place that maps errno.
[[noreturn]] void throw_errno(int error, std::string_view action, std::string_view path);

namespace detail {
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& message);
}  // namespace detail

// Throws InternalError with file, line, condition and a formatted message unless the condition holds. It is
// for bugs, never for errors that a person can cause.
#define HW_CHECK(condition, ...)                                                                     \
  do {                                                                                               \
    if (!(condition)) [[unlikely]]                                                                   \
      ::headwater::detail::check_failed(__FILE__, __LINE__, #condition, ::fmt::format(__VA_ARGS__)); \
  } while (false)

}  // namespace headwater
