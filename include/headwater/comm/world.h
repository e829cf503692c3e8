#pragma once
// All ranks of a run: who I am, which ranks share my host, the communicators of any group, and what happens
// when a rank fails.
//
// A World is owned by the compute thread of its rank. MPI's has one communication thread which initialises
// MPI, makes all its calls and progresses them by testing, with a back-off that leaves the cores to compute.
// No global state: two thread worlds may live side by side.

#include "headwater/comm/communicator.h"
#include "headwater/comm/flight_recorder.h"

#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headwater {

// What a group's tensors on a device will be used for: NCCL takes memory and multiprocessors for each.
struct Traffic {
  // Of its collectives: none, of a few numbers, of tensors while the device computes, or of tensors that it
  // waits for.
  enum class Collectives : std::uint8_t { none, scalars, beside, awaited };
  Collectives collectives = Collectives::beside;
  std::set<std::pair<int, int>> messages;  // (from, to), of the group; the same on all its ranks
};

class World {
 public:
  virtual ~World() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual int local_rank() const = 0;  // among the ranks of this host
  virtual int local_size() const = 0;
  virtual std::string host(int rank) const = 0;

  // Collective over `ranks` (in rank order, this rank among them), called in the same order everywhere.
  virtual std::unique_ptr<Communicator> group(std::string_view name, const std::vector<int>& ranks) = 0;

  // The same for tensors on `device`, and on the host as well. A device's calls run on it, beside its
  // compute: NCCL on a GPU.
  virtual std::unique_ptr<Communicator> device_group(std::string_view name, const std::vector<int>& ranks,
                                                     Device device, const Traffic& traffic) = 0;

  virtual void set_timeout(double seconds) = 0;  // `training.comm_timeout_s`
  // Whether a peer is known to be lost or failed: then a signal starts no save, and waits throw.
  virtual bool broken() const = 0;
  // Whether every rank's communication thread answers within `seconds`. To be asked before a signal starts a
  // save: a launcher sends the same signal when a rank has died.
  virtual bool peers_alive(double seconds) = 0;

  virtual const FlightRecorder& flight_recorder() const = 0;
  // How long this rank has waited, in all, for calls of its communicators that had not ended.
  virtual double waited_seconds() const = 0;
  // What this rank has sent to others; of a call that has not ended, what is under way or gone. Before
  // finish().
  virtual std::int64_t sent_bytes() const = 0;
  // What the communicators hold for sums, outside the arena.
  virtual std::int64_t scratch_bytes() const = 0;

  // This rank is failing: lets go of every transfer under way, before the memory that it uses goes. Waits
  // throw from here on. False where a transfer cannot be stopped: memory that it may use must stay until the
  // process ends.
  [[nodiscard]] virtual bool abandon() = 0;
  // Ends the job after an error on this rank. This rank tells rank 0 and waits; rank 0 prints the first
  // reason as the one line "headwater: error: …" and ends the job on all ranks with `exit_code`; unanswered
  // for two seconds the lowest rank still alive speaks and ends it (rank r waits r · 50 ms more, 3 s at
  // most). Does not return.
  [[noreturn]] virtual void fail(const std::string& message, int exit_code) = 0;
  // Ends a good run: waits for all ranks, finalises the library.
  virtual void finish() = 0;
};

std::unique_ptr<World> make_self_world();

// What started this process: nothing, or an MPI launcher (by its environment: Open MPI, MPICH, Slurm's PMI).
struct Launcher {
  bool present = false;
  std::string name;
  int ranks = 1;
  int rank = 0;
};
Launcher detect_launcher();

// Self without a launcher (MPI is then never initialised), MPI under one. A binary without MPI that was
// started by a launcher with more than one rank throws UserError.
std::unique_ptr<World> make_world();
bool built_with_mpi();
bool built_with_nccl();

// Where ranks that are threads are meant to stand: so many neighbours on a host, with links between hosts on
// which a message takes at least latency + bytes / rate, one after the other in each direction of a host's
// link.
struct ThreadNetwork {
  int ranks_per_host = 0;  // 0: all on one host
  double bytes_per_second = std::numeric_limits<double>::infinity();
  double latency_seconds = 0.0;
};

// Runs `body` on `ranks` threads, each with its own World; rethrows the first error. For tests, and for
// whoever wants ranks without a launcher.
void run_on_threads(int ranks, const std::function<void(World&)>& body, const ThreadNetwork& network = {});

}  // namespace headwater
