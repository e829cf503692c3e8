#pragma once
// What went wrong, as plain data: it travels between threads and ranks, and is thrown where somebody waits.

#include <exception>
#include <string>

namespace headwater::comm {

struct Failure {
  int exit_code = 1;
  std::string message;
};

// The error of that exit code (docs: "Exit codes").
[[noreturn]] void raise(const Failure& failure);
// What an exception says, by the rules of the command line: std::bad_alloc is 3, anything unknown 1.
Failure failure_of(std::exception_ptr exception);

}  // namespace headwater::comm
