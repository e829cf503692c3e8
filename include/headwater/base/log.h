#pragma once
// The program's log: one line per event on standard error, "[time] [rank] message" (spdlog behind it).
//
// Owned by the process; set up once by `cli` before any thread starts. Any thread may log. Only rank 0 logs
// at `info` unless asked; warnings of every rank are shown with their rank. What is printed *for people*
// (tables, results) goes through `cli` or a stream that it passes down, not through here.

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace headwater::log {

enum class Level { debug, info, warning, error };

// Ranks above 0 show warnings and errors only, each line with the prefix "rank R: ".
void set_rank(int rank, int ranks);
// `debug` lets every rank show everything.
void set_level(Level level);
void write(Level level, std::string_view message);

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace headwater::log
