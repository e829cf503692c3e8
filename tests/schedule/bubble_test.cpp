// What docs/pipeline.md says each schedule costs, in time and in memory. Time is counted in units: a
// forward takes 1 on every stage, an input gradient 1, a weight gradient 1, a transfer nothing. A rank holds
// one unit of layers, or `chunks` of them, so that times are in units of one stage.

#include "headwater/schedule/checker.h"
#include "headwater/schedule/schedule_table.h"
#include "src/schedule/unit_times.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace headwater {
namespace {

// T − m (F + B + W) of the slowest rank, where F + B + W is a rank's whole share of a micro-batch.
std::int64_t bubble(const Schedule& schedule) {
  const UnitTimes times(schedule);
  std::int64_t end = 0;
  for (int rank = 0; rank < schedule.placement.ranks(); ++rank)
    end = std::max(
        end,
        times.end({rank, static_cast<int>(schedule.actions[static_cast<std::size_t>(rank)].size()) - 1}));
  return end - (schedule.backward ? 3 : 1) * schedule.micro_batches * schedule.placement.chunks();
}

TEST(Bubble, OfOneForwardOneBackwardAndGpipe) {
  for (int p = 1; p <= 16; ++p) {
    for (int m = 1; m <= 64; ++m) {
      EXPECT_EQ(bubble(one_forward_one_backward(p, m)), 3 * (p - 1)) << p << " ranks, " << m;
      EXPECT_EQ(bubble(gpipe(p, m)), 3 * (p - 1)) << p << " ranks, " << m;
    }
  }
}

// In units of a stage: in units of a rank that is 1F1B's over the number of chunks. Megatron-LM says so for
// multiples of P; with rounds of P or more it holds from P on.
TEST(Bubble, OfInterleavedFallsByItsChunks) {
  for (int p = 1; p <= 16; ++p) {
    for (int chunks = 1; chunks <= 4; ++chunks) {
      for (int m = p; m <= 64; ++m)
        EXPECT_EQ(bubble(interleaved(p, chunks, m)), 3 * (p - 1))
            << p << " ranks, " << chunks << " chunks, " << m;
      // Fewer have one round to fill and to drain: the time of one way through all stages.
      for (int m = 1; m < p; ++m)
        EXPECT_EQ(bubble(interleaved(p, chunks, m)), 3 * (p - 1 + (chunks - 1) * (p - m)))
            << p << " ranks, " << chunks << " chunks, " << m;
    }
  }
}

TEST(Bubble, OfZeroBubbleH1) {
  for (int p = 1; p <= 16; ++p)
    for (int m = 1; m <= 64; ++m)
      EXPECT_EQ(bubble(zero_bubble_h1(p, m)), p - 1 + std::max(p - m, 0)) << p << " ranks, " << m;
}

// The time that the last rank waits for its first input, and no more: no schedule of two chunks does better.
TEST(Bubble, OfZeroBubbleV) {
  for (int p = 1; p <= 16; ++p)
    for (int m = 2 * p - 1; m <= 64; ++m)
      EXPECT_EQ(bubble(zero_bubble_v(p, m)), p - 1) << p << " ranks, " << m;
}

// Half of 1F1B's, which is 6 (p − 1) in this unit, once there are as many micro-batches as a rank may hold.
TEST(Bubble, OfVHalf) {
  for (int p = 1; p <= 16; ++p) {
    for (int m = 1; m <= 64; ++m) {
      const int held = std::min(m, p / 2 + 1), least = p == 1 ? 0 : 2;
      EXPECT_EQ(bubble(v_half(p, m)), std::max(4 * p - 3 - 2 * held, least)) << p << " ranks, " << m;
      if (m <= p / 2) continue;
      EXPECT_LE(2 * bubble(v_half(p, m)), 6 * (p - 1)) << p << " ranks, " << m;
    }
  }
}

// The search prices schedules by the formula of their row.
TEST(Bubble, OfEveryScheduleIsWhatItsRowSays) {
  for (const ScheduleKind& kind : schedule_kinds()) {
    for (int p = 1; p <= 16; ++p) {
      for (int chunks = 1; chunks <= 4; ++chunks) {
        if (chunks != kind.default_chunks && !kind.takes_any_chunks()) continue;
        const double rank = chunks;  // the time of a pass through all of a rank's chunks
        const double found = static_cast<double>(bubble(make_schedule(kind.name, p, chunks, 64)));
        const double formula = kind.bubble({p, chunks, rank, rank, rank});
        const bool exact = kind.name != "v-half" || p != 2;  // there it is a bound from below
        EXPECT_EQ(found, exact ? formula : formula + 1.0) << kind.name << ", " << p << " ranks, " << chunks;
      }
    }
  }
}

TEST(Bubble, OfEvaluationIsTheWayOfOneMicroBatch) {
  for (int p = 1; p <= 16; ++p) {
    for (int m = 1; m <= 64; ++m) {
      EXPECT_EQ(bubble(forward_only(Placement(p, 2, true), m)), 2 * p - 2);
      for (int chunks = 1; chunks <= 4 && m % p == 0; ++chunks)
        EXPECT_EQ(bubble(forward_only(Placement(p, chunks), m)), p - 1);
    }
  }
}

struct Memory {
  int held = 0;     // at one time
  int weights = 0;  // in slots of their own
  int others = 0;   // in slots of their own: until the input gradient, and from it to the weight gradient
};

// The most on any rank, in units of one stage's layers.
Memory most_of(const ScheduleReport& report) {
  EXPECT_EQ(report.fault, std::nullopt);
  const auto sum = [](const std::vector<int>& chunks) {
    return std::accumulate(chunks.begin(), chunks.end(), 0);
  };
  Memory most;
  for (std::size_t rank = 0; rank < report.held.size(); ++rank) {
    most.held = std::max(most.held, report.held[rank]);
    most.weights = std::max(most.weights, sum(report.kept_for_weights[rank]));
    most.others = std::max(most.others, sum(report.in_flight[rank]) + sum(report.delayed_weights[rank]));
  }
  return most;
}

Memory memory(const Schedule& schedule) { return most_of(check(lower(schedule))); }

// As many micro-batches as 1F1B holds. While an input gradient runs, what it reads and what it makes are both
// there, which takes one slot more.
TEST(Memory, OfZeroBubbleH1IsThatOf1F1B) {
  for (int p = 1; p <= 16; ++p) {
    for (int m = 1; m <= 64; ++m) {
      EXPECT_EQ(memory(one_forward_one_backward(p, m)).held, std::min(p, m)) << p << " ranks, " << m;
      const Memory h1 = memory(zero_bubble_h1(p, m));
      EXPECT_EQ(h1.held, std::min(p, m)) << p << " ranks, " << m;
      EXPECT_EQ(h1.weights, h1.held) << p << " ranks, " << m;
      if (m < p) continue;
      EXPECT_EQ(h1.others, p + 1) << p << " ranks, " << m;
    }
  }
}

// What is held is balanced over the ranks and is 1F1B's peak. Its slots are more: the two chunks are at their
// fullest at different times, and late ranks delay many weight gradients only once the last forwards are
// gone.
TEST(Memory, OfZeroBubbleVIsThatOf1F1B) {
  for (int p = 1; p <= 16; ++p) {
    for (int m = 1; m <= 64; ++m) {
      const Schedule schedule = zero_bubble_v(p, m);
      const Memory v = memory(schedule);
      EXPECT_LE(v.held, 2 * std::min(p, m)) << p << " ranks, " << m;
      EXPECT_LE(v.weights, 2 * std::min(p, m) + 1) << p << " ranks, " << m;
      EXPECT_LE(v.others, 4 * std::min(p, m) + 1) << p << " ranks, " << m;
      if (m < 2 * p) continue;
      for (int held : check(lower(schedule)).held) EXPECT_EQ(held, 2 * p) << p << " ranks, " << m;
    }
  }
}

// In chunks, of which a rank has two: (p + 2) / 2p of 1F1B's peak where p is even.
TEST(Memory, OfVHalfIsHalfOf1F1B) {
  for (int p = 1; p <= 16; ++p) {
    for (int m = 1; m <= 64; ++m) {
      const ScheduleReport report = check(lower(v_half(p, m)));
      const Memory half = most_of(report);
      const int most = 2 * std::min(m, p / 2 + 1);
      EXPECT_EQ(half.held, most) << p << " ranks, " << m;
      EXPECT_LE(half.weights, most + 1) << p << " ranks, " << m;
      EXPECT_LE(half.others, most + 3) << p << " ranks, " << m;
      if (m <= p) continue;
      for (int held : report.held) EXPECT_EQ(held, most) << p << " ranks, " << m;
    }
  }
}

// With rounds of P: 1 + (P − 1) / (P chunks) times 1F1B's (Korthikanti et al., arXiv 2205.05198).
TEST(Memory, OfInterleaved) {
  for (int p = 1; p <= 8; ++p) {
    for (int chunks = 2; chunks <= 4; ++chunks) {
      for (int m = 2 * p; m <= 40; ++m) {
        const int rounds = m / p, longest = (m + rounds - 1) / rounds;
        EXPECT_EQ(memory(interleaved(p, chunks, m)).held, (chunks - 1) * longest + 2 * p - 1)
            << p << " ranks, " << chunks << " chunks, " << m;
      }
    }
  }
}

}  // namespace
}  // namespace headwater
