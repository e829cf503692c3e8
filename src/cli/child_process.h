#pragma once
// Another program, run to its end while its output is collected. It is told to end where this process dies.

#include <map>
#include <string>
#include <vector>

namespace headwater {

struct ChildResult {
  int exit_code = 0;  // 128 + the signal that ended it; 127 where it could not be started
  std::string out, error;
};

// `environment` is set on top of this process's own. For processes of one thread.
ChildResult run_child(const std::vector<std::string>& command,
                      const std::map<std::string, std::string>& environment);

// The words as one line that a POSIX shell reads as just these words.
std::string shell_line(const std::vector<std::string>& words);

}  // namespace headwater
