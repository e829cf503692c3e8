// NCCL communicators between ranks that are threads, each with a GPU of its own. NCCL is the emulation, in
// every mode.

#include "headwater/base/clock.h"
#include "headwater/tensor/cuda/check.h"
#include "headwater/tensor/cuda/devices.h"

#include "tests/comm/cuda/on_device.h"
#include "tests/comm/op_checks.h"

#include "emulation/settings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace headwater {
namespace {

using emulation::Settings;
using test::OnDevice;
using test::Twin;
using test::view;

Device device_of(const World& world) { return {Device::Kind::cuda, world.rank()}; }

Traffic ring(int ranks) {
  Traffic traffic;
  for (int rank = 0; rank < ranks; ++rank)
    if (ranks > 1) traffic.messages.insert({rank, (rank + 1) % ranks});
  return traffic;
}

std::unique_ptr<Communicator> everybody(World& world, const Traffic& traffic = {}) {
  return world.device_group("data", world.all_ranks(), device_of(world), traffic);
}

class Nccl : public testing::TestWithParam<Settings::Time> {
 protected:
  void SetUp() override { emulation::settings().streams = GetParam(); }
  void TearDown() override {
    emulation::settings().streams = Settings::Time::late;
    EXPECT_EQ(emulation::take_fault(), "");
  }
};

std::string name_of_mode(const testing::TestParamInfo<Settings::Time>& mode) {
  return mode.param == Settings::Time::late    ? "late"
         : mode.param == Settings::Time::early ? "early"
                                               : "random";
}
INSTANTIATE_TEST_SUITE_P(Modes, Nccl,
                         testing::Values(Settings::Time::late, Settings::Time::early, Settings::Time::random),
                         name_of_mode);

TEST_P(Nccl, DoesEveryOp) {
  for (const int ranks : {1, 2, 3, 4})
    run_on_threads(ranks, [](World& world) {
      OnDevice group(everybody(world, ring(world.size())), device_of(world));
      test::check_group(group);
      const auto ended = [&](const FlightRecord& record) { return record.ended >= record.queued; };
      const Stopwatch watch;  // the communication thread sees the end a little later than who waits for it
      while (!std::ranges::all_of(world.flight_recorder().recent(), ended) && watch.seconds() < 5.0)
        std::this_thread::yield();
      EXPECT_LT(watch.seconds(), 5.0);
    });
}

// Each call waits for the event of the call before, and the first for that of a compute stream. The host
// does not wait.
TEST_P(Nccl, CallsFollowEachOther) {
  run_on_threads(3, [](World& world) {
    constexpr std::size_t kCount = 1000;
    const auto group = everybody(world);
    auto whole = test::values_of<float>(world.rank(), 3 * kCount);
    std::vector<float> all(3 * kCount);
    cuda::Stream compute(device_of(world), "a test", "compute");
    const Twin in(device_of(world), view(whole)), out(device_of(world), view(all));
    const Twin part(device_of(world), view(whole, 0, kCount));
    // The memory is pinned, so that the copy is asynchronous work of the stream.
    void* pinned = nullptr;
    HW_CUDA("a test", cudaHostAlloc(&pinned, 3 * kCount * sizeof(float), cudaHostAllocDefault));
    std::copy(whole.begin(), whole.end(), static_cast<float*>(pinned));
    HW_CUDA("a test", cudaMemcpyAsync(in.on_device().data, pinned, 3 * kCount * sizeof(float),
                                      cudaMemcpyHostToDevice, compute.get()));
    Event event = group->reduce_scatter(in.on_device(), part.on_device(), compute.record());
    event = group->all_gather(part.on_device(), out.on_device(), event);
    compute.wait(event);
    compute.synchronize();
    out.back();
    test::check_equal(all, test::expected_sum<float>(3, 3 * kCount), "chain");
    HW_CUDA("a test", cudaFreeHost(pinned));
  });
}

// Both ranks queue their receive first, which must hold up neither the reverse direction nor collectives.
TEST_P(Nccl, AMessageHoldsUpNothingElse) {
  run_on_threads(2, [](World& world) {
    const auto group =
        everybody(world, {.collectives = Traffic::Collectives::beside, .messages = {{0, 1}, {1, 0}}});
    const int other = 1 - world.rank();
    std::vector<float> incoming(1000), sum(10, 1.0F);
    auto outgoing = test::values_of<float>(world.rank(), 1000);
    const Twin in(device_of(world), view(incoming)), out(device_of(world), view(outgoing)),
        data(device_of(world), view(sum));
    out.there();
    data.there();
    const Event received = group->receive(in.on_device(), other);
    group->all_reduce(data.on_device(), ReduceOp::sum).wait();
    const Event sent = group->send(out.on_device(), other);
    received.wait();
    sent.wait();
    in.back();
    data.back();
    test::check_equal(incoming, test::values_of<float>(other, 1000), "message");
    EXPECT_EQ(sum, std::vector<float>(10, 2.0F));
  });
}

TEST_P(Nccl, TensorsOfTheHostGoAsBefore) {
  run_on_threads(2, [](World& world) {
    const auto group = everybody(world);
    std::vector<float> host(7, 1.0F);
    group->all_reduce(view(host), ReduceOp::sum).wait();
    EXPECT_EQ(host, std::vector<float>(7, 2.0F));
    EXPECT_EQ(sum_over(*group, 21), 42);
  });
}

// Returns the CommError with which a run of two ranks ends, and checks that it ends within `within` seconds.
std::string failure_of_run(const std::function<void(World&, Communicator&, TensorView)>& body,
                           double within) {
  const Stopwatch watch;
  std::string message = "nothing was thrown";
  try {
    run_on_threads(2, [&](World& world) {
      world.set_timeout(0.5);
      const auto group = everybody(world);
      std::vector<float> host(64, 1.0F);
      const Twin data(device_of(world), view(host));
      data.there();
      group->all_reduce(data.on_device(), ReduceOp::sum).wait();
      body(world, *group, data.on_device());
    });
  } catch (const CommError& error) {
    message = error.what();
  }
  EXPECT_LT(watch.seconds(), within);
  return message;
}

TEST_P(Nccl, ARankThatDoesNotComeIsNamed) {
  const std::string message = failure_of_run(
      [](World& world, Communicator& group, TensorView data) {
        if (world.rank() == 1) return std::this_thread::sleep_for(std::chrono::milliseconds(800));
        group.all_reduce(data, ReduceOp::sum).wait();
      },
      6.0);
  EXPECT_NE(message.find("all_reduce #2 of group data waited 0.5 s: rank 1"), std::string::npos) << message;
}

// The host waits for a stream and learns nothing of the failure until the engine's thread aborts the call.
TEST_P(Nccl, AStreamThatWaitsForALostRankIsFreed) {
  const std::string message = failure_of_run(
      [](World& world, Communicator& group, TensorView data) {
        if (world.rank() == 1) return std::this_thread::sleep_for(std::chrono::milliseconds(800));
        cuda::Stream compute(device_of(world), "a test", "compute");
        compute.wait(group.all_reduce(data, ReduceOp::sum));
        compute.synchronize();
        ADD_FAILURE() << "the sum came to an end";
      },
      6.0);
  EXPECT_NE(message.find("all_reduce #2 of group data waited 0.5 s: rank 1"), std::string::npos) << message;
}

TEST_P(Nccl, RanksInDifferentCollectivesAreBothNamed) {
  const std::string message = failure_of_run(
      [](World& world, Communicator& group, TensorView data) {
        if (world.rank() == 0)
          group.all_reduce(data, ReduceOp::sum).wait();
        else
          group.broadcast(data, 0).wait();
      },
      6.0);
  const bool first =
      message.find("all_reduce #2 of group data waited 0.5 s: rank 1") != std::string::npos &&
      message.find("makes broadcast of 256 bytes there, where rank 0 makes all_reduce of 256 bytes") !=
          std::string::npos;
  const bool second =
      message.find("broadcast #2 of group data waited 0.5 s: rank 0") != std::string::npos &&
      message.find("makes all_reduce of 256 bytes there, where rank 1 makes broadcast of 256 bytes") !=
          std::string::npos;
  EXPECT_TRUE(first || second) << message;
}

TEST_P(Nccl, WhatAGroupWasNotMadeForIsRefused) {
  EXPECT_THROW(run_on_threads(2,
                              [](World& world) {
                                const auto group = everybody(
                                    world, {.collectives = Traffic::Collectives::none, .messages = {{0, 1}}});
                                std::vector<float> host(4);
                                const Twin data(device_of(world), view(host));
                                group->all_reduce(data.on_device(), ReduceOp::sum).wait();
                              }),
               InternalError);
}

}  // namespace
}  // namespace headwater
