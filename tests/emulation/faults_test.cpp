// What the emulation is for: mistakes in device code, planted one at a time, are found and named; without
// them the same kernels pass in every mode.

#include "faults.h"

#include "emulation/settings.h"
#include "tests/kernels/device.h"

#include <gtest/gtest.h>

namespace headwater::faults {
namespace {

using kernels::DeviceArray;
using Time = emulation::Settings::Time;

struct Case {
  const char* name;
  Run run;
  // What the check of accesses, or the emulation in any mode, says of it; null: nothing is said without the
  // check.
  const char* checked;
  const char* unchecked;
  // The modes without a check in which the result is wrong, where nothing is said.
  bool wrong_late, wrong_early;
};

const Case kCases[] = {
    {"CopyWithoutWait", copy_without_wait, "is under way, at faults.cu:", nullptr, true, false},
    {"CopyWithTooFewWaits", copy_with_too_few_waits, "asynchronous copy of thread 63 is under way", nullptr,
     true, false},
    {"CopyWithoutBarrier", copy_without_barrier, "which nobody has written", nullptr, true, true},
    {"BufferFilledTooEarly", buffer_filled_too_early,
     "thread 63 of the block has written with nothing to order the two", nullptr, false, false},
    {"MissingBarrier", missing_barrier, "nobody has written, at faults.cu:", nullptr, true, true},
    {"MissingWarpBarrier", missing_warp_barrier, "nobody has written", nullptr, true, true},
    {"ReadBeyondGlobal", read_beyond_global, "at byte 256 of 256 bytes of global memory, beyond its end",
     nullptr, false, false},
    {"WriteBeyondShared", write_beyond_shared, "outside of every array", nullptr, false, false},
    {"MoreSharedThanSaid", more_shared_than_said,
     "was given 260 bytes of shared memory, and says 256 at most", "was given 260 bytes", false, false},
    {"MoreSharedThanGranted", more_shared_than_granted,
     "asks for 49408 bytes of shared memory; a block has 49152 where", "asks for 49408 bytes", false, false},
    {"ReadUnwrittenGlobal", read_unwritten_global, "global memory, which nobody has written", nullptr, true,
     true},
    {"ReadUnwrittenShared", read_unwritten_shared, "shared memory, which nobody has written", nullptr, true,
     true},
    {"HostPointer", host_pointer, "memory that is not the device's", nullptr, true, true},
    {"MisalignedVector", misaligned_vector, "no multiple of 16, at faults.cu:", "no multiple of 16", false,
     false},
    {"MisalignedLoad16", misaligned_load_16, "misaligned address, at faults.cu:", "misaligned address", false,
     false},
    {"BarrierInABranch", barrier_in_a_branch, "__syncthreads", "__syncthreads", false, false},
    {"TwoBarriersMetAsOne", two_barriers_met_as_one, "while others wait in that of",
     "while others wait in that of", false, false},
    {"ShuffleWithoutALane", shuffle_without_a_lane, "a shuffle", "a shuffle", false, false},
    {"NamedBarrierOfTooMany", named_barrier_of_too_many, "threads 0-31 wait in a named barrier at faults.cu:",
     "threads 0-31 wait in a named barrier", false, false},
    {"CountThatNobodyAddsTo", count_that_nobody_adds_to, "waits for a count of 1, which is 0",
     "waits for a count of 1", false, false},
    {"SumWithoutAtomic", sum_without_atomic, "which another block has written", nullptr, false, false},
};

class PlantedFault : public testing::TestWithParam<Case> {
 protected:
  ~PlantedFault() override { emulation::settings() = before_; }

  // The fault's text, and whether the result is right.
  std::pair<std::string, bool> run(bool planted, const emulation::Settings& settings) {
    emulation::settings() = settings;
    std::vector<float> in(kFaultThreads), host(1, 1.5F);
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i + 1);
    DeviceArray<float> device_in(in), empty(in.size()), out(in.size()), sum(std::vector<float>(1, 0.0F));
    GetParam().run({device_in.data(), empty.data(), host.data(), out.data(), sum.data()}, planted);
    const cudaError_t error = cudaDeviceSynchronize();
    const std::string fault = emulation::take_fault();
    EXPECT_EQ(error == cudaSuccess, fault.empty());
    cudaGetLastError();
    std::vector<float> got(in.size());
    EXPECT_EQ(cudaMemcpy(got.data(), out.data(), got.size() * sizeof(float), cudaMemcpyDeviceToHost),
              cudaSuccess);
    return {fault, got == in};
  }

  static emulation::Settings late() { return {}; }
  static emulation::Settings early() {
    emulation::Settings settings;
    settings.copies = settings.streams = Time::early;
    settings.shuffled = true, settings.seed = 3;
    return settings;
  }
  static emulation::Settings checked() {
    emulation::Settings settings;
    settings.check = true;
    return settings;
  }

 private:
  emulation::Settings before_ = emulation::settings();
};

TEST_P(PlantedFault, IsFoundByTheCheck) {
  for (const bool shuffled : {false, true}) {
    emulation::Settings settings = checked();
    settings.shuffled = shuffled;
    const std::string fault = run(true, settings).first;
    if (shuffled) {
      EXPECT_NE(fault, "");  // which of its threads is named depends on the order
    } else {
      EXPECT_NE(fault.find(GetParam().checked), std::string::npos) << fault;
    }
  }
}

TEST_P(PlantedFault, ShowsWithoutTheCheckWhereItCan) {
  for (const bool is_late : {true, false}) {
    const auto [fault, right] = run(true, is_late ? late() : early());
    if (GetParam().unchecked != nullptr) {
      EXPECT_NE(fault.find(GetParam().unchecked), std::string::npos) << fault;
    } else {
      EXPECT_EQ(fault, "");
      EXPECT_FALSE(right && (is_late ? GetParam().wrong_late : GetParam().wrong_early)) << is_late;
    }
  }
}

TEST_P(PlantedFault, IsNotSeenWhereItIsNot) {
  for (const Time copies : {Time::late, Time::early, Time::random}) {
    for (const bool check : {false, true}) {
      for (const bool shuffled : {false, true}) {
        emulation::Settings settings;
        settings.copies = settings.streams = copies;
        settings.check = check, settings.shuffled = shuffled;
        const auto [fault, right] = run(false, settings);
        EXPECT_EQ(fault, "");
        EXPECT_TRUE(right);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Faults, PlantedFault, testing::ValuesIn(kCases),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace headwater::faults
