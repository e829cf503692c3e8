#include "headwater/schedule/lowering.h"

#include "headwater/base/error.h"
#include "headwater/schedule/checker.h"
#include "headwater/schedule/schedule_table.h"
#include "tests/schedule/written_schedules.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace headwater {
namespace {

using Kind = Instruction::Kind;

std::vector<Action> computes(const RankProgram& program) {
  std::vector<Action> actions;
  for (const Instruction& instruction : program.instructions)
    if (instruction.kind == Kind::compute) actions.push_back(instruction.action);
  return actions;
}

std::string text_of(const Instruction& i) {
  const std::string message = std::string(i.transfer.payload == Payload::activation ? "a" : "g") +
                              std::to_string(i.transfer.micro_batch) + "." +
                              std::to_string(i.transfer.buffer);
  switch (i.kind) {
    case Kind::compute:
      return (i.action.kind == ActionKind::forward ? "F" : "B") + std::to_string(i.action.micro_batch);
    case Kind::start_send: return "send " + message;
    case Kind::wait_send: return "sent " + message;
    case Kind::start_receive: return "receive " + message;
    case Kind::wait_receive: return "received " + message;
  }
  return {};
}

std::string text_of(const RankProgram& program) {
  std::string text;
  for (const Instruction& instruction : program.instructions) text += text_of(instruction) + "\n";
  return text;
}

void expect_proved(const Schedule& schedule) {
  const LoweredSchedule lowered = lower(schedule);
  const ScheduleReport report = check(lowered);
  EXPECT_EQ(report.fault, std::nullopt);
  for (std::size_t rank = 0; rank < lowered.ranks.size(); ++rank) {
    EXPECT_EQ(computes(lowered.ranks[rank]), schedule.actions[rank]);
    // No slot without a use.
    EXPECT_EQ(lowered.ranks[rank].slots, report.in_flight[rank]);
    EXPECT_EQ(lowered.ranks[rank].weight_slots, report.kept_for_weights[rank]);
    EXPECT_EQ(lowered.ranks[rank].delayed_slots, report.delayed_weights[rank]);
  }
}

TEST(Lowering, WritesTheProgramOfALastRank) {
  const LoweredSchedule lowered = lower(one_forward_one_backward(2, 3));
  EXPECT_EQ(text_of(lowered.ranks[1]),
            "receive a0.0\n"
            "received a0.0\nF0\n"
            "receive a1.1\n"
            "B0\nsend g0.0\n"
            "received a1.1\nF1\n"
            "receive a2.0\n"
            "B1\nsend g1.1\n"
            "received a2.0\nF2\n"
            "sent g0.0\nB2\nsend g2.0\n"
            "sent g1.1\nsent g2.0\n");
}

TEST(Lowering, WritesTheProgramOfAFirstRank) {
  const LoweredSchedule lowered = lower(one_forward_one_backward(2, 3));
  EXPECT_EQ(text_of(lowered.ranks[0]),
            "F0\nsend a0.0\n"
            "receive g0.0\n"
            "F1\nsend a1.1\n"
            "received g0.0\nB0\n"
            "receive g1.0\n"
            "sent a0.0\nF2\nsend a2.0\n"
            "receive g2.1\n"
            "received g1.0\nB1\n"
            "received g2.1\nB2\n"
            "sent a1.1\nsent a2.0\n");
}

TEST(Lowering, OneRankSendsNothing) {
  const LoweredSchedule lowered = lower(one_forward_one_backward(1, 5));
  EXPECT_EQ(text_of(lowered.ranks[0]), "F0\nB0\nF1\nB1\nF2\nB2\nF3\nB3\nF4\nB4\n");
  EXPECT_EQ(lowered.ranks[0].slots, std::vector<int>{1});
  for (const Instruction& instruction : lowered.ranks[0].instructions) {
    EXPECT_EQ(instruction.activation, -1);
    EXPECT_EQ(instruction.gradient, -1);
    EXPECT_EQ(instruction.output, -1);
  }
}

TEST(Lowering, ProvesWrittenSchedules) {
  expect_proved(written_interleaved());
  expect_proved(split_backward());
  expect_proved(folded());
  expect_proved(one_rank_two_chunks());
  for (int ranks : {1, 2, 5})
    for (int micro_batches : {1, 2, 7}) expect_proved(gpipe(ranks, micro_batches));
}

TEST(Lowering, SplitBackwardHoldsEachSlotForItsLifetime) {
  const ScheduleReport report = check(lower(split_backward()));
  EXPECT_EQ(report.in_flight, (std::vector<std::vector<int>>{{3}, {2}, {1}}));
  EXPECT_EQ(report.kept_for_weights, (std::vector<std::vector<int>>{{3}, {3}, {3}}));
  EXPECT_EQ(report.delayed_weights, (std::vector<std::vector<int>>{{1}, {2}, {3}}));
}

TEST(Lowering, CountsEachChunkByItself) {
  const ScheduleReport report = check(lower(written_interleaved()));
  EXPECT_EQ(report.in_flight, (std::vector<std::vector<int>>{{4, 2}, {3, 1}}));
  EXPECT_EQ(report.kept_for_weights, report.in_flight);
  EXPECT_EQ(report.delayed_weights, (std::vector<std::vector<int>>{{0, 0}, {0, 0}}));
}

TEST(Lowering, NeighboursOnOneRankHandOver) {
  const LoweredSchedule lowered = lower(folded());
  int transfers = 0;
  for (const Instruction& instruction : lowered.ranks[1].instructions) {
    if (instruction.kind == Kind::compute) {
      // Every compute of the two middle stages but a weight gradient reads the stage's input, and fills a
      // buffer.
      const bool weights = instruction.action.kind == ActionKind::weight_gradient,
                 forward = instruction.action.kind == ActionKind::forward;
      EXPECT_EQ(instruction.activation >= 0, !weights);
      EXPECT_EQ(instruction.gradient >= 0, !weights && !forward);
      EXPECT_EQ(instruction.output >= 0, !weights);
    } else {
      ++transfers;
      EXPECT_EQ(instruction.transfer.peer, 0);
      EXPECT_TRUE(std::min(instruction.transfer.from_stage, instruction.transfer.to_stage) != 1);
    }
  }
  EXPECT_EQ(transfers, 4 * 3 * 2);  // four boundaries to the other rank, three micro-batches, start and wait
  EXPECT_GE(lowered.ranks[1].buffers[1].receive_activation, 1);  // stage 2's, filled by stage 1
  EXPECT_EQ(lowered.ranks[1].buffers[0].send_activation, 0);     // stage 1 sends none
}

// A receive starts before the compute ahead of the one that reads it.
TEST(Lowering, ReceivesStartOneComputeAhead) {
  for (const Schedule& schedule :
       {one_forward_one_backward(4, 9), written_interleaved(), split_backward(), folded()}) {
    for (const RankProgram& program : lower(schedule).ranks) {
      const auto& all = program.instructions;
      for (auto wait = all.begin(); wait != all.end(); ++wait) {
        if (wait->kind != Kind::wait_receive) continue;
        const auto start = std::find_if(all.begin(), wait, [&](const Instruction& i) {
          return i.kind == Kind::start_receive && i.transfer == wait->transfer;
        });
        ASSERT_NE(start, wait);
        const auto is_compute = [](const Instruction& i) { return i.kind == Kind::compute; };
        if (std::any_of(all.begin(), wait, is_compute)) {
          EXPECT_TRUE(std::any_of(start, wait, is_compute)) << schedule.name;
        }
      }
    }
  }
}

TEST(Lowering, OneForwardOneBackwardDoubleBuffers) {
  for (int ranks = 2; ranks <= 9; ++ranks) {
    for (const RankProgram& program : lower(one_forward_one_backward(ranks, 12)).ranks) {
      const RankProgram::Buffers& buffers = program.buffers[0];
      for (int count : {buffers.send_activation, buffers.send_gradient})
        EXPECT_TRUE(count == 0 || count == 2);
      // A stage keeps its input in the buffer, and receives the next one ahead.
      EXPECT_LE(buffers.receive_activation, program.slots[0] + 1);
      EXPECT_LE(buffers.receive_gradient, 2);
    }
  }
}

// Returns the most activations of a chunk that are there, or on their way, and not yet read.
int received_ahead(const RankProgram& program, const Placement& placement, int chunk) {
  int ahead = 0, most = 0;
  for (const Instruction& i : program.instructions) {
    if (i.kind == Kind::start_receive && i.transfer.payload == Payload::activation &&
        placement.chunk_of(i.transfer.to_stage) == chunk)
      most = std::max(most, ++ahead);
    if (i.kind == Kind::compute && i.action.kind == ActionKind::forward && i.action.stage > 0 &&
        placement.chunk_of(i.action.stage) == chunk)
      --ahead;
  }
  return most;
}

// What a stage has received stays where it is until it has been read for the last time. That takes no more
// buffers than the slots that would have to hold a copy, and those that the next messages arrive in.
TEST(Lowering, KeepsWhatAStageReceivesInItsBuffer) {
  for (const ScheduleKind& kind : schedule_kinds()) {
    for (const int micro_batches : {1, 5, 12}) {
      const Schedule schedule = make_schedule(kind.name, 4, kind.default_chunks, micro_batches);
      const LoweredSchedule copied = lower(schedule), kept = lower(schedule, true);
      for (std::size_t rank = 0; rank < 4; ++rank) {
        const RankProgram &less = copied.ranks[rank], &more = kept.ranks[rank];
        for (std::size_t chunk = 0; chunk < more.buffers.size(); ++chunk) {
          EXPECT_EQ(more.buffers[chunk].receive_activation, less.buffers[chunk].receive_activation);
          EXPECT_LE(more.buffers[chunk].receive_gradient,
                    less.buffers[chunk].receive_gradient + more.delayed_slots[chunk])
              << kind.name;
          if (!kind.folded) {  // so that nothing is handed over
            EXPECT_LE(more.buffers[chunk].receive_activation,
                      more.slots[chunk] + received_ahead(more, schedule.placement, static_cast<int>(chunk)))
                << kind.name;
          }
        }
      }
    }
  }
}

TEST(Lowering, AddsSendBuffersWhereTwoWouldDeadlock) {
  expect_proved(flooding(8));
  EXPECT_GT(lower(flooding(8)).ranks[0].buffers[0].send_activation, 2);
}

TEST(Lowering, RefusesAnImpossibleSchedule) {
  Schedule swapped = one_forward_one_backward(2, 2);
  std::swap(swapped.actions[0][1], swapped.actions[0][2]);  // B0 before F1 is fine, so go on:
  EXPECT_EQ(check(lower(swapped)).fault, std::nullopt);
  std::swap(swapped.actions[1][0],
            swapped.actions[1][2]);  // rank 1 wants F1 first; rank 0 wants B0 before it
  EXPECT_THROW(lower(swapped), InternalError);

  Schedule twice = one_forward_one_backward(2, 2);
  twice.actions[0].push_back(twice.actions[0].back());
  EXPECT_THROW(lower(twice), InternalError);

  Schedule early = split_backward();
  std::swap(early.actions[0][3], early.actions[0][4]);  // W0 before I0
  EXPECT_THROW(lower(early), InternalError);

  Schedule missing = one_forward_one_backward(2, 2);
  missing.actions[1].pop_back();
  EXPECT_THROW(lower(missing), InternalError);
}

}  // namespace
}  // namespace headwater
