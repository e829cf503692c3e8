// The program: makes the world, runs the command, and is the one place where errors end.

#include "headwater/backend/make_backend.h"
#include "headwater/base/error.h"
#include "headwater/base/failure.h"
#include "headwater/base/log.h"
#include "headwater/comm/world.h"

#include "commands.h"

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string_view>

namespace headwater {
namespace {

// With HEADWATER_LOG=debug every rank logs what is left out otherwise.
void set_log_level() {
  const char* const asked = std::getenv("HEADWATER_LOG");
  if (asked == nullptr || asked == std::string_view("info")) return;
  if (asked != std::string_view("debug"))
    throw UserError("HEADWATER_LOG is \"{}\"; it must be \"debug\" or \"info\"", asked);
  log::set_level(log::Level::debug);
}

int run(int argc, char** argv) {
  prepare_devices(detect_launcher().ranks);
  std::unique_ptr<World> world = make_self_world();  // speaks where no other can be made
  try {
    set_log_level();
    world = make_world();
    log::set_rank(world->rank(), world->size());
    const int code = run_command_line(*world, std::vector<std::string>(argv + 1, argv + argc));
    if (code == 0 && !std::cout.flush())
      throw SystemError("cannot write to standard output; is its disk full?");
    world->finish();
    return code;
  } catch (...) {
    const Failure failure = failure_of(std::current_exception());
    world->fail(failure.message, failure.exit_code);
  }
  return 1;  // not reached: fail() ends the process
}

}  // namespace
}  // namespace headwater

int main(int argc, char** argv) { return headwater::run(argc, argv); }
