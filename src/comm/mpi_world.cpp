#ifdef HEADWATER_HAVE_MPI

#include "mpi_world.h"

#include "engine_world.h"
#include "mpi_transport.h"

#include <unistd.h>
#include <chrono>
#include <cstdio>

namespace headwater::comm {
namespace {

using std::chrono::milliseconds;

// The launcher reads the line through a pipe, perhaps on another host: time to pass it on before the job is
// torn down.
constexpr milliseconds kLinePassesOn{100};
// Longer than every turn to speak. Only where the engine's thread hangs inside MPI does the failing thread
// end the process itself, which makes the launcher end the others.
constexpr milliseconds kEngineHangs{10000};

void end_job(const std::string& reason, int exit_code) {
  if (reason.empty()) ::_exit(exit_code);
  print_error_line(reason);
  std::this_thread::sleep_for(kLinePassesOn);
  abort_mpi(exit_code);
}

class MpiWorld final : public EngineWorld {
 public:
  explicit MpiWorld(const Launcher& launcher)
      : EngineWorld([launcher] { return open_mpi_transport(launcher.name, launcher.ranks); }, end_job) {}

  [[noreturn]] void fail(const std::string& message, int exit_code) override {
    std::fflush(nullptr);  // here, not in the engine's thread: another might hold a stream's lock
    engine_.announce({exit_code, message});
    std::this_thread::sleep_for(kEngineHangs);
    print_error_line(message);
    ::_exit(exit_code);
  }
};

}  // namespace

std::unique_ptr<World> make_mpi_world(const Launcher& launcher) {
  return std::make_unique<MpiWorld>(launcher);
}

}  // namespace headwater::comm

#endif
