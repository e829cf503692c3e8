#pragma once
// The program's log: one line per event on standard error, "[time] [rank] message" (spdlog behind it).
//
// The process has one log. `cli` sets it up before any thread starts; then any thread may log. Tables and
// results for people are no log: `cli` prints them, or passes a stream down for them.

#include <fmt/core.h>

#include <string_view>
#include <utility>

namespace headwater::log {

enum class Level { debug, info, warning, error };

// From then on a rank above 0 logs only warnings and errors (everything at level `debug`), with the prefix
// "rank R: ".
void set_rank(int rank, int ranks);
// Messages below `level` are dropped.
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
