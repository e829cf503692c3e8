#pragma once
// The last few hundred communication calls of a rank: what was queued, started and ended when. Printed when a
// wait passes its deadline. Written by the compute thread and the communication thread; locks inside.

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace headwater {

struct FlightRecord {
  std::string group;
  std::string operation;       // "all_reduce", "send to 2" (a rank of the world), …
  std::uint64_t sequence = 0;  // per group (messages: per group, peer and direction)
  std::int64_t bytes = 0;
  double queued = 0.0, started = 0.0, ended = 0.0;  // seconds of the monotonic clock; 0: not yet
  std::uint64_t range = 0;  // of a profiler, from its start to its end (tensor/profile_range.h)
};

class FlightRecorder {
 public:
  static constexpr std::size_t kCapacity = 512;

  std::uint64_t queue(std::string group, std::string operation, std::uint64_t sequence,
                      std::int64_t bytes);  // → id
  void start(std::uint64_t id);
  void end(std::uint64_t id);
  std::vector<FlightRecord> recent() const;  // oldest first
  std::string table() const;                 // for people: all unfinished calls, and the newest ended ones

 private:
  FlightRecord* find(std::uint64_t id);

  mutable std::mutex mutex_;
  std::vector<FlightRecord> ring_;
  std::uint64_t next_ = 0;
};

}  // namespace headwater
