#pragma once
// The checker's parts throw a ScheduleFault where a program goes wrong; check() turns it into the report's
// fault.

#include <fmt/format.h>

#include <string>
#include <utility>

namespace headwater {

struct ScheduleFault {
  std::string text;
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw ScheduleFault{fmt::format(format, std::forward<Args>(args)...)};
}

}  // namespace headwater
