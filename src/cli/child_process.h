#pragma once
// Runs another program to its end and collects its output. The program is told to end when this process dies.

#include <map>
#include <string>
#include <vector>

namespace headwater {

struct ChildResult {
  int exit_code = 0;  // 128 + the signal that ended it; 127 where it could not be started
  std::string out, error;
};

// The program gets this process's environment with `environment` on top. This process must have one thread.
ChildResult run_child(const std::vector<std::string>& command,
                      const std::map<std::string, std::string>& environment);

// Joins the words to a line that a POSIX shell reads as just these words.
std::string shell_line(const std::vector<std::string>& words);

}  // namespace headwater
