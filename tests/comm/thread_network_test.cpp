#include "src/comm/throttled_network.h"

#include "headwater/base/clock.h"

#include "tests/comm/op_checks.h"

#include <gtest/gtest.h>

#include <array>

namespace headwater {
namespace {

using comm::ThrottledNetwork;
using test::view;

const ThreadNetwork kNetwork{.ranks_per_host = 2, .bytes_per_second = 100.0, .latency_seconds = 0.5};

TEST(ThrottledNetwork, AMessageTakesItsTimeBetweenHostsOnly) {
  ThrottledNetwork network(kNetwork, 4);
  EXPECT_EQ(network.host_of(1), 0);
  EXPECT_EQ(network.host_of(2), 1);
  EXPECT_DOUBLE_EQ(network.arrival(0, 1, 1000, 10.0), 10.0);
  EXPECT_DOUBLE_EQ(network.arrival(0, 2, 1000, 10.0), 20.5);
  ThrottledNetwork one_host({}, 4);
  EXPECT_DOUBLE_EQ(one_host.arrival(0, 3, 1000, 10.0), 10.0);
}

TEST(ThrottledNetwork, MessagesOfOneDirectionFollowOneAnother) {
  ThrottledNetwork network(kNetwork, 6);
  EXPECT_DOUBLE_EQ(network.arrival(0, 2, 100, 10.0), 11.5);
  EXPECT_DOUBLE_EQ(network.arrival(1, 4, 100, 10.0), 12.5)
      << "the host's other rank, to another host: the same way out";
  EXPECT_DOUBLE_EQ(network.arrival(4, 3, 100, 10.5), 12.5) << "the same way in";
  EXPECT_DOUBLE_EQ(network.arrival(2, 0, 100, 10.0), 11.5) << "the other direction";
  EXPECT_DOUBLE_EQ(network.arrival(0, 2, 100, 50.0), 51.5) << "an idle link keeps no time in store";
}

// Returns the seconds that `work` takes on rank 0, between two ranks.
double seconds_of(const ThreadNetwork& network, const std::function<void(Communicator&)>& work) {
  double seconds = 0.0;
  run_on_threads(
      2,
      [&](World& world) {
        EXPECT_EQ(world.local_size(), network.ranks_per_host == 1 ? 1 : 2);
        const auto group = world.group("data", world.all_ranks());
        barrier(*group);
        const Stopwatch watch;
        work(*group);
        if (world.rank() == 0) seconds = watch.seconds();
      },
      network);
  return seconds;
}

TEST(ThreadNetwork, ALinkOfLimitedRateIsNotFaster) {
  const ThreadNetwork slow{.ranks_per_host = 1, .bytes_per_second = 1e6, .latency_seconds = 0.01};
  const auto exchange = [](Communicator& group) {
    std::vector<float> in(25'000), out(25'000, 1.0F);
    const Event received = group.receive(view(in), 1 - group.rank());
    group.send(view(out), 1 - group.rank()).wait();
    received.wait();
    EXPECT_EQ(in, out);
  };
  EXPECT_GE(seconds_of(slow, exchange), 0.11);
  // Each rank sends one half of its data to be summed, and then the half that it has summed.
  const auto sum = [](Communicator& group) {
    std::vector<float> data(50'000, 1.0F);
    group.all_reduce(view(data), ReduceOp::sum).wait();
    EXPECT_EQ(data, std::vector<float>(50'000, 2.0F));
  };
  EXPECT_GE(seconds_of(slow, sum), 0.22);
}

TEST(ThreadNetwork, EveryOpFindsTheSame) {
  run_on_threads(4, test::check_world,
                 {.ranks_per_host = 2, .bytes_per_second = 1e8, .latency_seconds = 1e-5});
}

}  // namespace
}  // namespace headwater
