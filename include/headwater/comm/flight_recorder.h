#pragma once
// The last few hundred communication calls of a rank, and when each was queued, started and ended. The table
// is printed when a wait passes its deadline.
//
// The compute thread and the progress engine's thread write it; locks inside.

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace headwater {

struct FlightRecord {
  std::string group;
  std::string operation;       // "all_reduce", "send to 2" (a rank of the world), …
  std::uint64_t sequence = 0;  // counted per group; for messages per group, peer and direction
  std::int64_t bytes = 0;
  double queued = 0.0, started = 0.0, ended = 0.0;  // now_seconds(); 0 if it has not happened yet
  std::uint64_t range = 0;  // the profiler's range while the call runs (tensor/profile_range.h)
};

class FlightRecorder {
 public:
  static constexpr std::size_t kCapacity = 512;

  // Adds a call and returns its id, which start() and end() take. They ignore the ids of calls that have been
  // overwritten since.
  std::uint64_t queue(std::string group, std::string operation, std::uint64_t sequence, std::int64_t bytes);
  void start(std::uint64_t id);
  void end(std::uint64_t id);
  std::vector<FlightRecord> recent() const;  // oldest first
  // A table for people: all calls that have not ended, and the newest of those that have.
  std::string table() const;

 private:
  FlightRecord* find(std::uint64_t id);

  mutable std::mutex mutex_;
  std::vector<FlightRecord> ring_;
  std::uint64_t next_ = 0;
};

}  // namespace headwater
