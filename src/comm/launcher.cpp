#include "headwater/base/error.h"

#include "mpi_world.h"

#include <unistd.h>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <thread>

namespace headwater {
namespace {

int number_in(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  if (!text) return otherwise;
  const std::string_view view = text;
  int number = otherwise;
  std::from_chars(view.data(), view.data() + view.size(), number);
  return number;
}

bool is_set(const char* variable) { return std::getenv(variable) != nullptr; }

// Fails so that people read one line although the ranks cannot talk to each other: rank 0 throws, and the
// others sleep until the launcher ends them because rank 0 has failed.
[[noreturn]] void refuse(const Launcher& launcher, const std::string& message) {
  if (launcher.rank != 0) {
    std::this_thread::sleep_for(std::chrono::seconds(2));
    ::_exit(2);
  }
  throw UserError("{}", message);
}

}  // namespace

Launcher detect_launcher() {
  struct Sign {
    const char *name, *ranks, *rank;
  };
  // Hydra (MPICH, Intel MPI) and Slurm's PMI-2 set PMI_SIZE. Slurm sets SLURM_NTASKS in batch scripts too,
  // where nothing was launched, so it counts only beside a PMI that srun offers.
  for (const Sign sign :
       {Sign{"Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
        Sign{"MVAPICH", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"},
        Sign{"MPICH's PMI", "PMI_SIZE", "PMI_RANK"}, Sign{"Slurm", "SLURM_NTASKS", "SLURM_PROCID"}}) {
    if (!is_set(sign.ranks)) continue;
    if (sign.name == std::string_view("Slurm") && !is_set("PMIX_RANK") && !is_set("PMI_RANK")) continue;
    return {true, sign.name, number_in(sign.ranks, 1), number_in(sign.rank, 0)};
  }
  return {};
}

#ifdef HEADWATER_HAVE_MPI
bool built_with_mpi() { return true; }
#else
bool built_with_mpi() { return false; }
#endif

#ifdef HEADWATER_HAVE_NCCL
bool built_with_nccl() { return true; }
#else
bool built_with_nccl() { return false; }
#endif

std::unique_ptr<World> make_world() {
  const Launcher launcher = detect_launcher();
  if (launcher.ranks <= 1) return make_self_world();
#ifdef HEADWATER_HAVE_MPI
  try {
    return comm::make_mpi_world(launcher);
  } catch (const UserError& error) {
    refuse(launcher, error.what());
  }
#else
  refuse(launcher,
         fmt::format("{} started {} ranks, but this binary was built without MPI: build it with MPI, or run "
                     "one rank",
                     launcher.name, launcher.ranks));
#endif
}

}  // namespace headwater
