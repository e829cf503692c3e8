#include "headwater/comm/link_speed.h"

#include "headwater/base/clock.h"

#include <algorithm>

namespace headwater {
namespace {

// Returns the seconds that a message of `words` i32 takes in one direction: half the median of `rounds` round
// trips.
double one_way(Communicator& pair, std::int64_t words, int rounds) {
  std::vector<std::int32_t> data(static_cast<std::size_t>(words), 1);
  const TensorView message(data.data(), DType::i32, {words});
  const int other = 1 - pair.rank();
  std::vector<double> seconds;
  for (int round = -1; round < rounds; ++round) {  // the first one only warms up
    const Stopwatch watch;
    if (pair.rank() == 0) pair.send(message, other).wait();
    pair.receive(message, other).wait();
    if (pair.rank() == 1) pair.send(message, other).wait();
    if (round >= 0) seconds.push_back(watch.seconds() / 2.0);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

}  // namespace

LinkSpeed measure_link(Communicator& pair, const LinkTrial& trial) {
  HW_CHECK(pair.size() == 2, "a link between {} ranks", pair.size());
  constexpr auto kWord = static_cast<std::int64_t>(sizeof(std::int32_t));
  const std::int64_t words = std::max<std::int64_t>(1, trial.large_bytes / kWord);
  LinkSpeed speed;
  speed.latency_seconds = one_way(pair, 1, trial.small_rounds);
  speed.bandwidth = static_cast<double>(words * kWord) / one_way(pair, words, trial.large_rounds);
  // Both ranks return what rank 0 measured.
  pair.broadcast(TensorView(&speed.bandwidth, DType::f64, {1}), 0).wait();
  pair.broadcast(TensorView(&speed.latency_seconds, DType::f64, {1}), 0).wait();
  return speed;
}

}  // namespace headwater
