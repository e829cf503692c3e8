#pragma once
// What went wrong, as plain data: it travels between threads and ranks, is thrown where somebody waits, and
// ends as the line and the exit code of the program.

#include <exception>
#include <string>

namespace headwater {

struct Failure {
  int exit_code = 1;
  std::string message;
};

// The error of that exit code (docs: "Exit codes").
[[noreturn]] void raise(const Failure& failure);
// What an exception says: an Error its own code, std::bad_alloc 3, an error of std::filesystem what
// throw_errno makes of it, anything else 1.
Failure failure_of(std::exception_ptr exception);

}  // namespace headwater
