#include "headwater/base/failure.h"

#include "headwater/base/error.h"

#include <filesystem>
#include <new>

namespace headwater {

void raise(const Failure& failure) {
  switch (failure.exit_code) {
    case UserError::kExitCode: throw UserError("{}", failure.message);
    case SystemError::kExitCode: throw SystemError("{}", failure.message);
    case CommError::kExitCode: throw CommError("{}", failure.message);
    default: throw InternalError("{}", failure.message);
  }
}

Failure failure_of(std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return {error.exit_code(), error.what()};
  } catch (const std::filesystem::filesystem_error& error) {
    try {
      throw_errno(error.code().value(), "reach", error.path1().string());
    } catch (const Error& mapped) {
      return {mapped.exit_code(), mapped.what()};
    }
  } catch (const std::bad_alloc&) {
    return {SystemError::kExitCode, "out of memory: the system refused an allocation"};
  } catch (const std::exception& error) {
    return {InternalError::kExitCode, fmt::format("unexpected: {}", error.what())};
  } catch (...) {
    return {InternalError::kExitCode, "unexpected: an exception of unknown type"};
  }
}

}  // namespace headwater
