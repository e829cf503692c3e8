#include "tests/comm/op_checks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>

namespace headwater {
namespace {

using test::values_of;
using test::view;

TEST(SelfWorld, DoesEveryOp) {
  const auto world = make_self_world();
  test::check_world(*world);
  EXPECT_TRUE(world->flight_recorder().recent().empty());
  world->finish();
}

class ThreadWorld : public testing::TestWithParam<int> {};

TEST_P(ThreadWorld, DoesEveryOp) { run_on_threads(GetParam(), test::check_world); }

INSTANTIATE_TEST_SUITE_P(Ranks, ThreadWorld, testing::Values(1, 2, 3, 4, 7));

TEST(ThreadWorlds, LiveSideBySide) {
  std::thread other([] { run_on_threads(2, test::check_world); });
  run_on_threads(3, test::check_world);
  other.join();
}

TEST(ThreadWorlds, CutsDoNotChangeTheBitsOfASum) {
  constexpr std::size_t kCount = 12'345;
  std::vector<float> whole;
  run_on_threads(3, [&](World& world) {
    const auto group = world.group("data", world.all_ranks());
    auto data = values_of<float>(world.rank(), kCount);
    group->all_reduce(view(data), ReduceOp::sum).wait();
    auto pieces = values_of<float>(world.rank(), kCount);
    for (std::size_t begin = 0; begin < kCount; begin += 1000)
      group->all_reduce(view(pieces, begin, std::min<std::size_t>(1000, kCount - begin)), ReduceOp::sum)
          .wait();
    test::check_equal(pieces, data, "sum in pieces");
  });
}

// An event that is done when the test says so.
class Gate final : public EventState {
 public:
  bool done() const override { return open; }
  void wait() override {
    while (!open) std::this_thread::yield();
  }
  std::atomic<bool> open = false;
};

TEST(ThreadWorlds, ACallStartsAfterItsEvent) {
  run_on_threads(2, [](World& world) {
    const auto group = world.group("data", world.all_ranks());
    const auto gate = std::make_shared<Gate>();
    std::vector<float> data(10, 1.0F);
    const Event sum = group->all_reduce(view(data), ReduceOp::sum, Event(gate));
    const Event next = group->all_reduce(view(data), ReduceOp::sum);  // keeps its place behind
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_FALSE(sum.done());
    EXPECT_FALSE(next.done());
    std::fill(data.begin(), data.end(), 2.0F);  // what the event stands for
    gate->open = true;
    next.wait();
    EXPECT_TRUE(sum.done());
    EXPECT_EQ(data, std::vector<float>(10, 8.0F));
  });
}

TEST(ThreadWorlds, AMessageDoesNotWaitForOneTheOtherWay) {
  run_on_threads(2, [](World& world) {
    const auto group = world.group("pipeline", world.all_ranks());
    std::vector<float> in(1000), out = values_of<float>(world.rank(), 1000);
    const Event received = group->receive(view(in), 1 - world.rank());  // both receive first
    group->send(view(out), 1 - world.rank()).wait();
    received.wait();
    test::check_equal(in, values_of<float>(1 - world.rank(), 1000), "message");
  });
}

TEST(ThreadWorlds, RecordCalls) {
  run_on_threads(2, [](World& world) {
    const auto group = world.group("data", world.all_ranks());
    std::vector<float> data(10);
    for (int i = 0; i < 600; ++i) group->all_reduce(view(data), ReduceOp::sum).wait();
    (world.rank() == 0 ? group->send(view(data), 1) : group->receive(view(data), 0)).wait();
    const std::vector<FlightRecord> records = world.flight_recorder().recent();
    ASSERT_EQ(records.size(), FlightRecorder::kCapacity);
    EXPECT_EQ(records.back().operation, world.rank() == 0 ? "send to 1" : "receive from 0");
    EXPECT_EQ(records.back().sequence, 1U);
    const FlightRecord& last = records[records.size() - 2];
    EXPECT_EQ(last.operation, "all_reduce");
    EXPECT_EQ(last.group, "data");
    EXPECT_EQ(last.sequence, 600U);
    EXPECT_EQ(last.bytes, 40);
    EXPECT_GE(last.started, last.queued);
    EXPECT_GE(last.ended, last.started);
    EXPECT_NE(world.flight_recorder().table().find("all_reduce              600"), std::string::npos)
        << world.flight_recorder().table();
  });
}

// Returns the message of the error that running `body` on `ranks` threads throws, which must have the exit
// code.
std::string error_of(int ranks, const std::function<void(World&)>& body, int exit_code) {
  try {
    run_on_threads(ranks, body);
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), exit_code);
    return error.what();
  }
  return "nothing was thrown";
}

void sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

TEST(Deadline, NamesTheRankThatDidNotCome) {
  const std::string message = error_of(
      4,
      [](World& world) {
        world.set_timeout(0.3);
        const auto group = world.group("data", world.all_ranks());
        std::vector<float> data(10);
        for (int i = 0; i < 16; ++i) group->all_reduce(view(data), ReduceOp::sum).wait();
        if (world.rank() == 2) return sleep(1.0);
        group->all_reduce(view(data), ReduceOp::sum).wait();
      },
      4);
  EXPECT_NE(message.find("all_reduce #17 of group data waited 0.3 s: rank 2 ("), std::string::npos)
      << message;
  EXPECT_NE(message.find(") did not come"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST(Deadline, LooksBehindARankThatWaitsItself) {
  const std::string message = error_of(
      4,
      [](World& world) {
        world.set_timeout(0.3);
        const auto group = world.group("pipeline", world.all_ranks());
        std::vector<float> data(10);
        if (world.rank() == 3) return sleep(1.0);
        group->receive(view(data), world.rank() + 1).wait();
      },
      4);
  // The message is that of the rank whose deadline passes first: rank 2's, or that of a rank that waits for
  // rank 2.
  EXPECT_NE(message.find(" of group pipeline waited 0.3 s: "), std::string::npos) << message;
  EXPECT_NE(message.find("rank 3 ("), std::string::npos) << message;
}

TEST(Deadline, SaysThatRanksMakeDifferentCalls) {
  const std::string message = error_of(
      2,
      [](World& world) {
        world.set_timeout(0.3);
        const auto group = world.group("pipeline", world.all_ranks());
        std::vector<float> data(10);
        group->receive(view(data), 1 - world.rank()).wait();
      },
      4);
  EXPECT_NE(message.find("the ranks make different calls"), std::string::npos) << message;
}

TEST(Deadline, RunsOnlyWhileSomebodyWaits) {
  run_on_threads(2, [](World& world) {
    world.set_timeout(0.3);
    const auto group = world.group("pipeline", world.all_ranks());
    std::vector<float> data(10);
    if (world.rank() == 0) {
      const Event early = group->receive(view(data), 1);
      sleep(0.6);  // computes
      early.wait();
    } else {
      sleep(0.5);
      group->send(view(data), 0).wait();
    }
  });
}

TEST(Failure, ReachesEveryWait) {
  const std::string message = error_of(
      3,
      [](World& world) {
        const auto group = world.group("data", world.all_ranks());
        if (world.rank() == 1) world.fail("no space left", 3);
        std::vector<float> data(10);
        try {
          group->all_reduce(view(data), ReduceOp::sum).wait();
          ADD_FAILURE() << "rank 1 never came";
        } catch (const CommError& error) {
          EXPECT_STREQ(error.what(), "rank 1 failed: no space left");
          EXPECT_TRUE(world.broken());
          EXPECT_FALSE(world.peers_alive(1.0));
          EXPECT_THROW(group->all_reduce(view(data), ReduceOp::sum).wait(), CommError);  // later calls too
          throw;
        }
      },
      3);
  EXPECT_EQ(message, "no space left");
}

TEST(Failure, OfMatchingSizesIsABug) {
  const std::string message = error_of(
      2,
      [](World& world) {
        const auto group = world.group("data", world.all_ranks());
        std::vector<float> data(world.rank() == 0 ? 10 : 12);
        (world.rank() == 0 ? group->send(view(data), 1) : group->receive(view(data), 0)).wait();
      },
      1);
  EXPECT_NE(message.find("rank 0 sent 40 bytes where rank 1 expects 48"), std::string::npos) << message;
}

TEST(Groups, MustHoldTheirMaker) {
  run_on_threads(2, [](World& world) {
    EXPECT_THROW(world.group("other", {1 - world.rank()}), InternalError);
    EXPECT_THROW(world.group("order", {1, 0}), InternalError);
    EXPECT_EQ(world.group("self", {world.rank()})->size(), 1);
  });
}

class LauncherTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_SIZE", "PMI_RANK",
                             "PMIX_RANK", "MV2_COMM_WORLD_SIZE", "SLURM_NTASKS", "SLURM_PROCID"})
      unsetenv(name);
  }
  void TearDown() override { SetUp(); }
};

TEST_F(LauncherTest, IsReadFromTheEnvironment) {
  EXPECT_FALSE(detect_launcher().present);
  setenv("SLURM_NTASKS", "8", 1);  // a batch script
  EXPECT_FALSE(detect_launcher().present);
  EXPECT_EQ(make_world()->size(), 1);
  setenv("PMIX_RANK", "3", 1);  // srun
  setenv("SLURM_PROCID", "3", 1);
  EXPECT_EQ(detect_launcher().ranks, 8);
  EXPECT_EQ(detect_launcher().rank, 3);
  setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
  setenv("OMPI_COMM_WORLD_RANK", "2", 1);
  const Launcher launcher = detect_launcher();
  EXPECT_TRUE(launcher.present);
  EXPECT_EQ(launcher.name, "Open MPI");
  EXPECT_EQ(launcher.ranks, 4);
  EXPECT_EQ(launcher.rank, 2);
}

TEST_F(LauncherTest, WithoutMpiIsRefused) {
  if (built_with_mpi()) GTEST_SKIP() << "this binary has MPI";
  setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
  setenv("OMPI_COMM_WORLD_RANK", "0", 1);
  EXPECT_THROW(make_world(), UserError);
}

}  // namespace
}  // namespace headwater
