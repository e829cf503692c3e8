#include "failure.h"

#include "headwater/base/error.h"

#include <new>

namespace headwater::comm {

void raise(const Failure& failure) {
  switch (failure.exit_code) {
    case 2: throw UserError("{}", failure.message);
    case 3: throw SystemError("{}", failure.message);
    case 4: throw CommError("{}", failure.message);
    default: throw InternalError("{}", failure.message);
  }
}

Failure failure_of(std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return {error.exit_code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {3, "out of memory"};
  } catch (const std::exception& error) {
    return {1, error.what()};
  } catch (...) {
    return {1, "an exception of unknown type"};
  }
}

}  // namespace headwater::comm
