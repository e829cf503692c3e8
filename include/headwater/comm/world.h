#pragma once
// All ranks of a run, as one of them sees them: its number, the ranks on its host, the communicators of any
// group, and what happens when a rank fails.
//
// The compute thread of a rank owns its World. A World of several ranks has a communication thread (the
// progress engine's, src/comm/progress_engine.h) that makes all calls of MPI and tests them until they are
// done. There is no global state: two thread worlds may live side by side.

#include "headwater/comm/communicator.h"
#include "headwater/comm/flight_recorder.h"

#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headwater {

// The kinds of message that a group will send between devices. NCCL takes memory and multiprocessors for each
// kind of traffic.
struct Traffic {
  enum class Collectives : std::uint8_t {
    none,
    scalars,  // collectives of a few numbers
    beside,   // of tensors, while the device computes
    awaited,  // of tensors that the device waits for
  };
  Collectives collectives = Collectives::beside;
  // The pairs (from, to) of ranks within the group that exchange messages; the same on all ranks of the
  // group.
  std::set<std::pair<int, int>> messages;
};

class World {
 public:
  virtual ~World() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual int local_rank() const = 0;            // this rank's number among the ranks of its host
  virtual int local_size() const = 0;            // how many ranks its host has
  virtual std::string host(int rank) const = 0;  // the name of the host that `rank` runs on

  // 0, 1, …, size() − 1: the group of everybody.
  std::vector<int> all_ranks() const {
    std::vector<int> ranks(static_cast<std::size_t>(size()));
    std::iota(ranks.begin(), ranks.end(), 0);
    return ranks;
  }

  // Makes a communicator of `ranks`, which rise and include this rank. Each of them calls it, and all ranks
  // make the groups that they share in the same order.
  virtual std::unique_ptr<Communicator> group(std::string_view name, const std::vector<int>& ranks) = 0;

  // Makes a communicator for tensors on `device` as well as on the host. Calls on a GPU's tensors are NCCL's
  // and run on the GPU, beside its compute.
  virtual std::unique_ptr<Communicator> device_group(std::string_view name, const std::vector<int>& ranks,
                                                     Device device, const Traffic& traffic) = 0;

  virtual void set_timeout(double seconds) = 0;  // `training.comm_timeout_s`
  // Whether this rank knows that another is lost or has failed. Every wait throws then, and no save can be
  // made.
  virtual bool broken() const = 0;
  // Whether the communication threads of all other ranks answer within `seconds`. Ask it before a stop signal
  // starts a save: a launcher sends the same signal when a rank has died.
  virtual bool peers_alive(double seconds) = 0;

  virtual const FlightRecorder& flight_recorder() const = 0;
  // The seconds that this rank's threads have spent waiting for calls of its communicators.
  virtual double waited_seconds() const = 0;
  // The bytes that this rank has handed to the transport for other ranks, those under way included. Not to be
  // called after finish().
  virtual std::int64_t sent_bytes() const = 0;
  // The memory that the communicators hold for sums, outside the arena.
  virtual std::int64_t scratch_bytes() const = 0;

  // Gives up all calls under way, so that the memory which they use can be freed. For a rank that is failing.
  // Waits throw from here on. Returns false if some calls cannot be stopped: the memory must then stay until
  // the process ends.
  [[nodiscard]] virtual bool abandon() = 0;
  // Ends the job after an error on this rank, with one line "headwater: error: …" on one rank and `exit_code`
  // on all. Rank 0 prints the line, or if it stays silent another rank does (src/comm/failure_arbiter.h). A
  // thread rank throws the error instead, and run_on_threads throws it again. Does not return.
  [[noreturn]] virtual void fail(const std::string& message, int exit_code) = 0;
  // Ends a good run: waits for all ranks, then closes the library.
  virtual void finish() = 0;
};

std::unique_ptr<World> make_self_world();

// The MPI launcher that started this process, as its environment tells (Open MPI, MVAPICH, MPICH's PMI,
// Slurm).
struct Launcher {
  bool present = false;  // whether any did
  std::string name;
  int ranks = 1;
  int rank = 0;
};
Launcher detect_launcher();

// Makes MPI's world if a launcher started more than one rank, and the self world otherwise, for which MPI is
// never initialised. Throws UserError if there are several ranks and the binary was built without MPI.
std::unique_ptr<World> make_world();
bool built_with_mpi();
bool built_with_nccl();

// A network that thread ranks are given: they are spread over simulated hosts, each with one link. A message
// between hosts takes at least latency + bytes / rate, and in each direction of a link one message follows
// the other.
struct ThreadNetwork {
  int ranks_per_host = 0;  // 0: all ranks are on one host
  double bytes_per_second = std::numeric_limits<double>::infinity();
  double latency_seconds = 0.0;
};

// Runs `body` on `ranks` threads, each with its own World, and rethrows the first error. For tests, and for
// runs of several ranks without a launcher.
void run_on_threads(int ranks, const std::function<void(World&)>& body, const ThreadNetwork& network = {});

}  // namespace headwater
