#include "together.h"

#include "headwater/base/bytes.h"
#include "headwater/base/error.h"
#include "headwater/base/failure.h"

#include <string>

namespace headwater {
namespace {

// How an action ended; exit code 0 is well. CommError passes through.
Failure outcome_of(const std::function<void()>& action) {
  try {
    action();
    return {0, {}};
  } catch (const CommError&) {
    throw;
  } catch (...) {
    return failure_of(std::current_exception());
  }
}

}  // namespace

void together(Communicator& ranks, const std::function<void()>& action) {
  const Failure own = outcome_of(action);
  // One byte of code, then the message.
  const std::string sent =
      own.exit_code == 0 ? std::string() : std::string(1, static_cast<char>(own.exit_code)) + own.message;
  for (const std::vector<std::byte>& bytes : gather_bytes(ranks, std::as_bytes(std::span(sent)))) {
    if (bytes.empty()) continue;
    const std::string received(as_text(bytes));
    raise({received[0], received.substr(1)});
  }
}

}  // namespace headwater
