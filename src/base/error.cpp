#include "headwater/base/error.h"

#include <cerrno>
#include <system_error>

namespace headwater {

void throw_errno(int error, std::string_view action, std::string_view path) {
  const std::string reason = std::generic_category().message(error);
  if (error == ENOENT || error == ENOTDIR || error == EISDIR)
    throw UserError("cannot {} {}: {}", action, path, reason);
  throw SystemError("cannot {} {}: {}", action, path, reason);
}

namespace detail {

void check_failed(const char* file, int line, const char* condition, const std::string& message) {
  throw InternalError("{}:{}: expected {}: {}", file, line, condition, message);
}

}  // namespace detail
}  // namespace headwater
