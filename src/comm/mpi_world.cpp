#ifdef HEADWATER_HAVE_MPI

#include "mpi_world.h"

#include "distributed_world.h"
#include "mpi_transport.h"

#include <unistd.h>
#include <chrono>
#include <cstdio>

namespace headwater::comm {
namespace {

using std::chrono::milliseconds;

// The launcher reads the error line through a pipe, perhaps on another host. It gets this time to pass the
// line on before the job is torn down.
constexpr milliseconds kLinePassesOn{100};
// A failing compute thread waits this long for its engine to end the job, which is longer than any rank's
// turn to report. If the engine hangs inside MPI, the compute thread ends the process itself, and the
// launcher ends the others.
constexpr milliseconds kEngineHangs{10000};

void end_job(const std::string& reason, int exit_code) {
  if (reason.empty()) ::_exit(exit_code);
  print_error_line(reason);
  std::this_thread::sleep_for(kLinePassesOn);
  abort_mpi(exit_code);
}

class MpiWorld final : public DistributedWorld {
 public:
  explicit MpiWorld(const Launcher& launcher)
      : DistributedWorld([launcher] { return open_mpi_transport(launcher.name, launcher.ranks); }, end_job) {}

  [[noreturn]] void fail(const std::string& message, int exit_code) override {
    // The engine's thread must not flush: another thread might hold a stream's lock.
    std::fflush(nullptr);
    engine_.announce_failure({exit_code, message});
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
