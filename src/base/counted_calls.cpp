#include "counted_calls.h"

#include "headwater/base/error.h"
#include "headwater/base/file.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace headwater {
namespace {

struct Fault {
  std::mutex mutex;
  std::uint64_t calls_left = 0;  // the fault is at this one of the calls to come; 0: at none
  int error = 0;
};

// Reads the fault from HEADWATER_FAIL_WRITE=N[:ERRNO], if that is set.
void arm_from_environment(Fault& fault) {
  const char* text = std::getenv("HEADWATER_FAIL_WRITE");
  if (text == nullptr || *text == '\0') return;
  const char* end = text + std::string_view(text).size();
  fault.error = ENOSPC;
  auto [next, status] = std::from_chars(text, end, fault.calls_left);
  if (status == std::errc() && next != end && *next == ':') {
    const auto number = std::from_chars(next + 1, end, fault.error);
    next = number.ptr;
    status = number.ec;
  }
  if (status != std::errc() || next != end)
    throw UserError("HEADWATER_FAIL_WRITE is \"{}\"; it would be N or N:ERRNO, two whole numbers", text);
}

Fault& fault() {
  static Fault instance;
  static const bool armed = (arm_from_environment(instance), true);
  static_cast<void>(armed);
  return instance;
}

// Counts one call. Returns true, with errno set, if it is the one that shall fail.
bool fails() {
  Fault& f = fault();
  const std::lock_guard lock(f.mutex);
  if (f.calls_left == 0 || --f.calls_left > 0) return false;
  errno = f.error;
  return true;
}

}  // namespace

void inject_write_fault(std::uint64_t call, int error) {
  Fault& f = fault();
  const std::lock_guard lock(f.mutex);
  f.calls_left = call;
  f.error = error;
}

namespace counted {

long write(int descriptor, const void* data, std::size_t size) {
  return fails() ? -1 : ::write(descriptor, data, size);
}

int sync(int descriptor) { return fails() ? -1 : ::fsync(descriptor); }

int rename(const char* from, const char* to) { return fails() ? -1 : std::rename(from, to); }

int close(int descriptor) {
  if (!fails()) return ::close(descriptor);
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return -1;
}

}  // namespace counted
}  // namespace headwater
