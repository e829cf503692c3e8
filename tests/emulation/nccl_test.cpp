// NCCL's calls as the emulation answers them: what each gives, in which order they go on, and how mistakes
// and lost peers show.

#include "nccl.h"
#include "emulation/settings.h"
#include "kernels.h"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

namespace headwater {
namespace {

using Time = emulation::Settings::Time;
constexpr std::size_t kN = 37;

// One rank: a thread with a device, a communicator and a stream of its own.
class Rank {
 public:
  Rank(int rank, int size, const ncclUniqueId& id) : rank_(rank), size_(size) {
    EXPECT_EQ(cudaSetDevice(rank), cudaSuccess);
    EXPECT_EQ(ncclCommInitRank(&comm_, size, id, rank), ncclSuccess) << ncclGetLastError(nullptr);
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
  }
  ~Rank() {
    if (comm_ != nullptr) {
      EXPECT_EQ(ncclCommDestroy(comm_), ncclSuccess);
    }
    EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
    for (void* memory : memory_) EXPECT_EQ(cudaFree(memory), cudaSuccess);
  }
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  ncclComm_t comm() const { return comm_; }
  cudaStream_t stream() const { return stream_; }
  void abort() { EXPECT_EQ(ncclCommAbort(std::exchange(comm_, nullptr)), ncclSuccess); }

  template <class T>
  T* memory(std::size_t count) {
    T* memory = nullptr;
    EXPECT_EQ(cudaMalloc(&memory, count * sizeof(T)), cudaSuccess);
    memory_.push_back(memory);
    return memory;
  }
  template <class T>
  T* filled(const std::vector<T>& values) {
    T* const to = memory<T>(values.size());
    EXPECT_EQ(cudaMemcpy(to, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
    return to;
  }
  void finish() const { EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess); }
  template <class T>
  std::vector<T> values(const T* from, std::size_t count) const {
    finish();
    std::vector<T> values(count);
    EXPECT_EQ(cudaMemcpy(values.data(), from, count * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return values;
  }

 private:
  int rank_, size_;
  ncclComm_t comm_ = nullptr;
  cudaStream_t stream_ = nullptr;
  std::vector<void*> memory_;
};

void run_ranks(int size, const std::function<void(Rank&)>& body) {
  ncclUniqueId id{};
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  std::vector<std::jthread> threads;
  for (int number = 0; number < size; ++number)
    threads.emplace_back([&, number] {
      Rank rank(number, size, id);
      body(rank);
    });
}

std::vector<float> part_of(int rank, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(rank * 100) + static_cast<float>(i);
  return values;
}

// The first message from rank 0 to rank 1, whose hosts wait for each other in it.
void connect(Rank& at, float* data) {
  if (at.rank() == 0)
    EXPECT_EQ(ncclSend(data, 1, ncclFloat, 1, at.comm(), at.stream()), ncclSuccess);
  else
    EXPECT_EQ(ncclRecv(data, 1, ncclFloat, 0, at.comm(), at.stream()), ncclSuccess);
  at.finish();
}

class NcclCalls : public testing::TestWithParam<Time> {
 protected:
  void SetUp() override { emulation::settings().streams = GetParam(); }
  void TearDown() override {
    EXPECT_EQ(emulation::take_fault(), "");
    emulation::settings() = before_;
  }

 private:
  emulation::Settings before_ = emulation::settings();
};

std::string name_of_mode(const testing::TestParamInfo<Time>& mode) {
  return mode.param == Time::late ? "late" : mode.param == Time::early ? "early" : "random";
}
INSTANTIATE_TEST_SUITE_P(Modes, NcclCalls, testing::Values(Time::late, Time::early, Time::random),
                         name_of_mode);

TEST_P(NcclCalls, GiveEveryRankItsResult) {
  for (const int size : {1, 2, 3}) {
    run_ranks(size, [](Rank& at) {
      const auto ranks = static_cast<std::size_t>(at.size());
      const auto sum_at = [&](std::size_t i) {
        float sum = 0.0F;
        for (int rank = 0; rank < at.size(); ++rank) sum += part_of(rank, i + 1)[i];
        return sum;
      };
      const auto whole = part_of(at.rank(), ranks * kN);
      float* const in = at.filled(whole);
      float *const sum = at.memory<float>(ranks * kN), *const most = at.filled(whole),
                   *const part = at.memory<float>(kN);
      float *const all = at.memory<float>(ranks * kN), *const last = at.filled(whole);
      EXPECT_EQ(ncclAllReduce(in, sum, ranks * kN, ncclFloat, ncclSum, at.comm(), at.stream()), ncclSuccess);
      EXPECT_EQ(ncclAllReduce(most, most, ranks * kN, ncclFloat, ncclMax, at.comm(), at.stream()),
                ncclSuccess);
      EXPECT_EQ(ncclReduceScatter(in, part, kN, ncclFloat, ncclSum, at.comm(), at.stream()), ncclSuccess);
      EXPECT_EQ(ncclAllGather(part, all, kN, ncclFloat, at.comm(), at.stream()), ncclSuccess);
      EXPECT_EQ(ncclBroadcast(last, last, kN, ncclFloat, at.size() - 1, at.comm(), at.stream()), ncclSuccess);
      const auto sums = at.values(sum, ranks * kN), gathered = at.values(all, ranks * kN);
      for (std::size_t i = 0; i < sums.size(); ++i) {
        ASSERT_EQ(sums[i], sum_at(i));
        ASSERT_EQ(gathered[i], sum_at(i));
      }
      EXPECT_EQ(at.values(most, ranks * kN), part_of(at.size() - 1, ranks * kN));
      EXPECT_EQ(at.values(last, kN), part_of(at.size() - 1, kN));
    });
  }
}

TEST_P(NcclCalls, SumInTheirOwnType) {
  run_ranks(3, [](Rank& at) {
    const double tiny = 1.0 + at.rank() * 0x1p-40;
    double* const doubles = at.filled(std::vector<double>(3, tiny));
    std::int32_t* const integers = at.filled(std::vector<std::int32_t>(3, (1 << 24) + at.rank()));
    // bf16 has 8 bits: one by one 256 + 1 + 1 would stay 256.
    __nv_bfloat16* const halves =
        at.filled(std::vector<__nv_bfloat16>(3, __nv_bfloat16(at.rank() == 0 ? 256.0F : 1.0F)));
    EXPECT_EQ(ncclAllReduce(doubles, doubles, 3, ncclDouble, ncclSum, at.comm(), at.stream()), ncclSuccess);
    EXPECT_EQ(ncclAllReduce(integers, integers, 3, ncclInt32, ncclSum, at.comm(), at.stream()), ncclSuccess);
    EXPECT_EQ(ncclAllReduce(halves, halves, 3, ncclBfloat16, ncclSum, at.comm(), at.stream()), ncclSuccess);
    EXPECT_EQ(at.values(doubles, 3), std::vector<double>(3, 3.0 + 3 * 0x1p-40));
    EXPECT_EQ(at.values(integers, 3), std::vector<std::int32_t>(3, 3 * (1 << 24) + 3));
    for (const __nv_bfloat16 half : at.values(halves, 3)) EXPECT_EQ(static_cast<float>(half), 258.0F);
  });
}

// Each sends to the next before it receives: one after the other they would wait for ever.
TEST_P(NcclCalls, OfAGroupGoOnSideBySide) {
  run_ranks(3, [](Rank& at) {
    const int next = (at.rank() + 1) % 3, previous = (at.rank() + 2) % 3;
    float *const out = at.filled(part_of(at.rank(), kN)), *const in = at.memory<float>(kN);
    ASSERT_EQ(ncclGroupStart(), ncclSuccess);
    EXPECT_EQ(ncclSend(out, kN, ncclFloat, next, at.comm(), at.stream()), ncclSuccess);
    EXPECT_EQ(ncclRecv(in, kN, ncclFloat, previous, at.comm(), at.stream()), ncclSuccess);
    ASSERT_EQ(ncclGroupEnd(), ncclSuccess);
    EXPECT_EQ(at.values(in, kN), part_of(previous, kN));
  });
}

// The host of who comes first waits in the first message, and in no later one, until the other's host comes
// to it.
TEST_P(NcclCalls, ConnectAPairInItsFirstMessage) {
  std::atomic<bool> came{false}, went{false};
  run_ranks(2, [&](Rank& at) {
    float* const data = at.filled(std::vector<float>(kN, 1.0F));
    if (at.rank() == 0) {
      connect(at, data);
      EXPECT_TRUE(came);
      EXPECT_EQ(ncclSend(data, kN, ncclFloat, 1, at.comm(), at.stream()), ncclSuccess);
      went = true;
      at.finish();
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      came = true;
      connect(at, data);
      while (!went) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      EXPECT_EQ(ncclRecv(data, kN, ncclFloat, 0, at.comm(), at.stream()), ncclSuccess);
      at.finish();
    }
  });
}

// The host of rank 0 waits for news from that of rank 1, which comes after a sum that rank 0 has only queued.
TEST_P(NcclCalls, GoOnWhileTheHostIsElsewhere) {
  std::atomic<bool> over{false};
  run_ranks(2, [&](Rank& at) {
    float* const data = at.filled(std::vector<float>(kN, 1.0F));
    EXPECT_EQ(ncclAllReduce(data, data, kN, ncclFloat, ncclSum, at.comm(), at.stream()), ncclSuccess);
    if (at.rank() == 1) {
      at.finish();
      over = true;
    }
    while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(at.values(data, kN), std::vector<float>(kN, 2.0F));
  });
}

// A call of a communicator waits for the one before it, although that is on another stream and waits for an
// event.
TEST_P(NcclCalls, OfACommunicatorAreOneQueue) {
  run_ranks(2, [](Rank& at) {
    cudaStream_t second = nullptr;
    ASSERT_EQ(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking), cudaSuccess);
    float* const data = at.filled(std::vector<float>(kN, 1.0F));
    kernels::fill(data, 2.0F, kN, at.stream());
    EXPECT_EQ(ncclAllReduce(data, data, kN, ncclFloat, ncclSum, at.comm(), at.stream()), ncclSuccess);
    EXPECT_EQ(ncclAllReduce(data, data, kN, ncclFloat, ncclSum, at.comm(), second), ncclSuccess);
    EXPECT_EQ(cudaStreamSynchronize(second), cudaSuccess);
    EXPECT_EQ(at.values(data, kN), std::vector<float>(kN, 8.0F));
    EXPECT_EQ(cudaStreamDestroy(second), cudaSuccess);
  });
}

// As with the library nobody is told; who gives up gets through.
TEST_P(NcclCalls, ThatDifferWaitUntilAborted) {
  run_ranks(2, [](Rank& at) {
    float* const data = at.filled(std::vector<float>(kN, 1.0F));
    const std::size_t count = at.rank() == 0 ? kN : kN - 1;
    EXPECT_EQ(ncclAllReduce(data, data, count, ncclFloat, ncclSum, at.comm(), at.stream()), ncclSuccess);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(cudaStreamQuery(at.stream()), cudaErrorNotReady);
    at.abort();
    at.finish();
  });
}

TEST_P(NcclCalls, AndAKilledRank) {
  ncclUniqueId id{};
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  const pid_t child = fork();
  if (child == 0) {
    ncclComm_t comm = nullptr;
    cudaSetDevice(1);
    ncclCommInitRank(&comm, 2, id, 1);
    _exit(0);  // without a word
  }
  Rank at(0, 2, id);
  float* const data = at.filled(std::vector<float>(kN, 1.0F));
  EXPECT_EQ(ncclAllReduce(data, data, kN, ncclFloat, ncclSum, at.comm(), at.stream()), ncclSuccess);
  ncclResult_t state = ncclSuccess;
  for (int tries = 0; tries < 2000 && state == ncclSuccess; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(ncclCommGetAsyncError(at.comm(), &state), ncclSuccess);
  }
  EXPECT_EQ(state, ncclRemoteError);
  EXPECT_EQ(cudaStreamQuery(at.stream()), cudaErrorNotReady);
  at.abort();
  at.finish();
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
}

// ---- mistakes: each in the behaviour that shows it ----

class NcclMistakes : public testing::Test {
 protected:
  ~NcclMistakes() override {
    emulation::settings() = before_;
    emulation::take_fault();
    cudaGetLastError();
  }
  // What one rank of one is told of a call, once its stream has come to it.
  std::string fault_of(const std::function<void(Rank&)>& call) {
    run_ranks(1, [&](Rank& at) {
      call(at);
      cudaStreamSynchronize(at.stream());
      fault_ = emulation::take_fault();
      cudaGetLastError();
    });
    return fault_;
  }

 private:
  emulation::Settings before_ = emulation::settings();
  std::string fault_;
};

// The kernel that fills the data is on a stream for which that of the call does not wait.
float sum_of_unordered(Time streams) {
  emulation::settings().streams = streams;
  float got = 0.0F;
  run_ranks(1, [&](Rank& at) {
    cudaStream_t compute = nullptr;
    ASSERT_EQ(cudaStreamCreateWithFlags(&compute, cudaStreamNonBlocking), cudaSuccess);
    float* const data = at.filled(std::vector<float>(kN, 1.0F));
    kernels::fill(data, 2.0F, kN, compute);
    EXPECT_EQ(ncclAllReduce(data, data, kN, ncclFloat, ncclSum, at.comm(), at.stream()), ncclSuccess);
    got = at.values(data, kN).front();
    EXPECT_EQ(cudaStreamSynchronize(compute), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(compute), cudaSuccess);
  });
  return got;
}

TEST_F(NcclMistakes, AMissingEventBeforeACallShowsLate) {
  EXPECT_EQ(sum_of_unordered(Time::early), 2.0F);
  EXPECT_EQ(sum_of_unordered(Time::late), 1.0F);
}

// Rank 0 reuses the memory of a message that nobody has received.
TEST_F(NcclMistakes, AMissingEventAfterACallShowsEarly) {
  emulation::settings().streams = Time::early;
  std::atomic<bool> rewritten{false};
  run_ranks(2, [&](Rank& at) {
    float* const data = at.filled(std::vector<float>(kN, 1.0F));
    connect(at, data);
    if (at.rank() == 0) {
      EXPECT_EQ(ncclSend(data, kN, ncclFloat, 1, at.comm(), at.stream()), ncclSuccess);
      cudaStream_t compute = nullptr;
      ASSERT_EQ(cudaStreamCreateWithFlags(&compute, cudaStreamNonBlocking), cudaSuccess);
      kernels::fill(data, 7.0F, kN, compute);
      EXPECT_EQ(cudaStreamSynchronize(compute), cudaSuccess);
      EXPECT_EQ(cudaStreamDestroy(compute), cudaSuccess);
      rewritten = true;
      at.finish();
    } else {
      while (!rewritten) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      EXPECT_EQ(ncclRecv(data, kN, ncclFloat, 0, at.comm(), at.stream()), ncclSuccess);
      EXPECT_EQ(at.values(data, kN), std::vector<float>(kN, 7.0F));
    }
  });
}

TEST_F(NcclMistakes, AreNamed) {
  const auto sum = [](Rank& at, float* in, float* out, std::size_t count) {
    return ncclAllReduce(in, out, count, ncclFloat, ncclSum, at.comm(), at.stream());
  };
  EXPECT_NE(fault_of([&](Rank& at) {
              sum(at, at.filled(part_of(0, kN)), at.memory<float>(kN), kN + 1);
            }).find("beyond its end"),
            std::string::npos);
  std::vector<float> host(kN);
  EXPECT_NE(fault_of([&](Rank& at) { sum(at, host.data(), host.data(), kN); }).find("not the device's"),
            std::string::npos);
  EXPECT_NE(fault_of([&](Rank& at) {
              float* const data = at.filled(part_of(0, 2 * kN));
              EXPECT_EQ(sum(at, data, data + 1, kN), ncclInvalidArgument);
            }).find("overlap"),
            std::string::npos);
  EXPECT_NE(fault_of([](Rank& at) {
              auto* const data = at.memory<signed char>(kN);
              EXPECT_EQ(ncclAllReduce(data, data, kN, ncclInt8, ncclSum, at.comm(), at.stream()),
                        ncclInvalidArgument);
            }).find("not emulated"),
            std::string::npos);
  EXPECT_NE(fault_of([](Rank& at) {
              float* const data = at.filled(part_of(0, kN));
              EXPECT_EQ(ncclBroadcast(data, data, kN, ncclFloat, 1, at.comm(), at.stream()),
                        ncclInvalidArgument);
            }).find("rank 1 of 1"),
            std::string::npos);
  EXPECT_NE(fault_of([&](Rank& at) {
              float* const data = at.filled(part_of(0, kN));
              EXPECT_EQ(cudaStreamBeginCapture(at.stream(), cudaStreamCaptureModeThreadLocal), cudaSuccess);
              EXPECT_EQ(sum(at, data, data, kN), ncclInvalidUsage);
              cudaGraph_t graph = nullptr;
              cudaStreamEndCapture(at.stream(), &graph);
              cudaGraphDestroy(graph);
            }).find("captured in a graph"),
            std::string::npos);
}

TEST_F(NcclMistakes, TwoRanksOnOneDeviceDoNotMeet) {
  ncclUniqueId id{};
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < 2; ++rank)
    threads.emplace_back([&, rank] {
      ncclComm_t comm = nullptr;
      EXPECT_EQ(ncclCommInitRank(&comm, 2, id, rank), ncclInvalidUsage);
      EXPECT_NE(std::string(ncclGetLastError(nullptr)).find("both on device 0"), std::string::npos);
    });
}

// A call that waits for its peer keeps its blocks: where those of all communicators find no room at once,
// some may never start.
TEST_F(NcclMistakes, MoreCommunicatorsThanADeviceHasRoomFor) {
  std::vector<ncclComm_t> comms;
  const auto make = [&](ncclConfig_t config) {
    ncclUniqueId id{};
    EXPECT_EQ(ncclGetUniqueId(&id), ncclSuccess);
    ncclComm_t comm = nullptr;
    const ncclResult_t result = ncclCommInitRankConfig(&comm, 1, id, 0, &config);
    if (comm != nullptr) comms.push_back(comm);
    return result;
  };
  const ncclConfig_t usual = NCCL_CONFIG_INITIALIZER;
  ncclConfig_t small = usual;
  small.minCTAs = 1, small.maxCTAs = 4;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(make(usual), ncclSuccess);  // 32 blocks each
  for (int i = 0; i < 3; ++i) EXPECT_EQ(make(small), ncclSuccess);
  EXPECT_EQ(make(small), ncclInvalidUsage);
  const std::string fault = emulation::take_fault();
  EXPECT_NE(fault.find("device 0 may take 112 blocks at once, and it has 108 multiprocessors"),
            std::string::npos)
      << fault;
  EXPECT_EQ(ncclCommDestroy(comms.back()), ncclSuccess);
  comms.pop_back();

  ncclConfig_t wrong = small;
  wrong.minCTAs = 8;
  EXPECT_EQ(make(wrong), ncclInvalidArgument);
  EXPECT_NE(emulation::take_fault().find("8 to 4 blocks; 1 to 64 can be had"), std::string::npos);
  EXPECT_EQ(make({}), ncclInvalidArgument);
  EXPECT_NE(emulation::take_fault().find("a configuration that was not initialised"), std::string::npos);

  EXPECT_EQ(ncclCommAbort(comms.back()), ncclSuccess);  // and leaves room
  comms.pop_back();
  EXPECT_EQ(make(small), ncclSuccess);
  for (const ncclComm_t comm : comms) EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
}

// What nobody has written is nobody's result either: a kernel with checked accesses that reads it is at
// fault.
TEST_F(NcclMistakes, WhatNobodyHasWrittenStaysUnwritten) {
  emulation::settings().check = true;
  const std::string fault = fault_of([](Rank& at) {
    auto* const data = at.memory<float>(kN);
    auto* const out = at.memory<__nv_bfloat16>(kN);
    EXPECT_EQ(ncclAllReduce(data, data, kN, ncclFloat, ncclSum, at.comm(), at.stream()), ncclSuccess);
    kernels::copy(kernels::Rows<const float>{data, kN}, kernels::Rows<__nv_bfloat16>{out, kN}, 1, kN,
                  at.stream());
  });
  EXPECT_NE(fault.find("which nobody has written"), std::string::npos) << fault;
}

}  // namespace
}  // namespace headwater
