#include "together.h"

#include "headwater/base/error.h"

#include <new>
#include <string>

namespace headwater {
namespace {

// How an action ended: an exit code and the message; 0 is well.
struct Outcome {
  int code = 0;
  std::string message;
};

Outcome outcome_of(const std::function<void()>& action) {
  try {
    action();
    return {};
  } catch (const CommError&) {
    throw;
  } catch (const Error& error) {
    return {error.exit_code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {3, "out of memory"};
  } catch (const std::exception& error) {
    return {1, error.what()};
  }
}

[[noreturn]] void raise(int code, const std::string& message) {
  if (code == 2) throw UserError("{}", message);
  if (code == 3) throw SystemError("{}", message);
  throw InternalError("{}", message);
}

}  // namespace

void together(Communicator& ranks, const std::function<void()>& action) {
  const Outcome own = outcome_of(action);
  // One byte of code, then the message.
  const std::string sent =
      own.code == 0 ? std::string() : std::string(1, static_cast<char>(own.code)) + own.message;
  for (const std::vector<std::byte>& bytes : gather_bytes(ranks, std::as_bytes(std::span(sent)))) {
    if (bytes.empty()) continue;
    const std::string received(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    raise(received[0], received.substr(1));
  }
}

}  // namespace headwater
