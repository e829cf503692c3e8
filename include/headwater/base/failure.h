#pragma once
// An error as plain data. It travels between threads and ranks, is thrown again wherever somebody waits, and
// gives the program its last line and its exit code.

#include <exception>
#include <string>

namespace headwater {

struct Failure {
  int exit_code = 1;
  std::string message;
};

// Throws the kind of Error that has the failure's exit code.
[[noreturn]] void raise(const Failure& failure);
// Returns what an exception says, with its exit code: that of an Error, 3 for std::bad_alloc, what
// throw_errno makes of an error of std::filesystem, 1 for anything else.
Failure failure_of(std::exception_ptr exception);

}  // namespace headwater
