// Plants faults in proved programs and expects the checker to find them: first every small fault at every
// instruction, then the ones that need several instructions to be wrong together, with their words.

#include "headwater/schedule/checker.h"

#include "headwater/schedule/schedule_table.h"
#include "tests/schedule/written_schedules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace headwater {
namespace {

using Kind = Instruction::Kind;
using Program = std::vector<Instruction>;

std::vector<LoweredSchedule> proved_programs() {
  std::vector<Schedule> schedules = {one_forward_one_backward(1, 3),
                                     one_forward_one_backward(4, 6),
                                     forward_only(Placement(3, 1), 4),
                                     written_interleaved(),
                                     split_backward(),
                                     folded(),
                                     one_rank_two_chunks(),
                                     flooding(6),
                                     interleaved(2, 3, 5),
                                     forward_only(Placement(2, 2, true), 3)};
  for (const ScheduleKind& kind : schedule_kinds())
    schedules.push_back(make_schedule(kind.name, 3, kind.default_chunks, 5));
  std::vector<LoweredSchedule> programs;
  for (const Schedule& schedule : schedules) {
    for (const bool keeps_gradients : {false, true}) {
      programs.push_back(lower(schedule, keeps_gradients));
      EXPECT_EQ(check(programs.back()).fault, std::nullopt);
    }
  }
  return programs;
}

// `plant(program, i)` changes a copy of each rank's program at each instruction; false: there is nothing to
// change.
void expect_all_found(const std::function<bool(Program&, std::size_t)>& plant) {
  int planted = 0;
  for (const LoweredSchedule& proved : proved_programs()) {
    for (std::size_t rank = 0; rank < proved.ranks.size(); ++rank) {
      for (std::size_t i = 0; i < proved.ranks[rank].instructions.size(); ++i) {
        LoweredSchedule changed = proved;
        if (!plant(changed.ranks[rank].instructions, i)) continue;
        ++planted;
        EXPECT_NE(check(changed).fault, std::nullopt) << proved.source.name << " with " << proved.ranks.size()
                                                      << " ranks, rank " << rank << ", instruction " << i;
      }
    }
  }
  EXPECT_GT(planted, 30);
}

std::ptrdiff_t offset(std::size_t i) { return static_cast<std::ptrdiff_t>(i); }

bool computes(const Instruction& instruction) { return instruction.kind == Kind::compute; }

TEST(Checker, FindsEveryDroppedInstruction) {
  expect_all_found([](Program& program, std::size_t i) {
    program.erase(program.begin() + offset(i));
    return true;
  });
}

TEST(Checker, FindsEveryRepeatedInstruction) {
  expect_all_found([](Program& program, std::size_t i) {
    const Instruction repeated = program[i];
    program.insert(program.begin() + offset(i), repeated);
    return true;
  });
}

TEST(Checker, FindsEveryChangedSlot) {
  for (int Instruction::*slot : {&Instruction::slot, &Instruction::weight_slot, &Instruction::delayed_slot}) {
    expect_all_found([slot](Program& program, std::size_t i) {
      ++(program[i].*slot);
      return computes(program[i]);
    });
  }
}

TEST(Checker, FindsEveryChangedBuffer) {
  for (int step : {-1, 1}) {
    expect_all_found([step](Program& program, std::size_t i) {
      program[i].transfer.buffer += step;
      return !computes(program[i]);
    });
    for (int Instruction::*received : {&Instruction::activation, &Instruction::gradient})
      expect_all_found([step, received](Program& program, std::size_t i) {
        program[i].*received += step;
        return computes(program[i]);
      });
    expect_all_found([step](Program& program, std::size_t i) {
      program[i].output += step;
      return computes(program[i]);
    });
  }
}

TEST(Checker, FindsEveryChangedMessage) {
  expect_all_found([](Program& program, std::size_t i) {
    ++program[i].transfer.micro_batch;
    return !computes(program[i]);
  });
  expect_all_found([](Program& program, std::size_t i) {
    ++program[i].transfer.peer;
    return !computes(program[i]);
  });
  expect_all_found([](Program& program, std::size_t i) {
    std::swap(program[i].transfer.from_stage, program[i].transfer.to_stage);
    return !computes(program[i]);
  });
  expect_all_found([](Program& program, std::size_t i) {
    Payload& payload = program[i].transfer.payload;
    payload = payload == Payload::activation ? Payload::gradient : Payload::activation;
    return !computes(program[i]);
  });
}

TEST(Checker, FindsEveryChangedAction) {
  for (int step : {-1, 1}) {
    expect_all_found([step](Program& program, std::size_t i) {
      program[i].action.micro_batch += step;
      return computes(program[i]);
    });
    expect_all_found([step](Program& program, std::size_t i) {
      program[i].action.stage += step;
      return computes(program[i]);
    });
  }
  for (ActionKind kind :
       {ActionKind::forward, ActionKind::backward, ActionKind::input_gradient, ActionKind::weight_gradient}) {
    expect_all_found([kind](Program& program, std::size_t i) {
      if (!computes(program[i]) || program[i].action.kind == kind) return false;
      program[i].action.kind = kind;
      return true;
    });
  }
}

// In 1F1B no two neighbouring computes of a rank may change places while their transfers stay.
TEST(Checker, FindsSwappedComputes) {
  for (int ranks : {1, 2, 4}) {
    const LoweredSchedule proved = lower(one_forward_one_backward(ranks, 6));
    for (std::size_t rank = 0; rank < proved.ranks.size(); ++rank) {
      const std::size_t count = proved.ranks[rank].instructions.size();
      for (std::size_t i = 0; i < count; ++i) {
        LoweredSchedule changed = proved;
        Program& program = changed.ranks[rank].instructions;
        const auto next = std::find_if(program.begin() + offset(i) + 1, program.end(), computes);
        if (!computes(program[i]) || next == program.end()) continue;
        std::swap(program[i], *next);
        EXPECT_NE(check(changed).fault, std::nullopt)
            << "rank " << rank << " of " << ranks << ", instruction " << i;
      }
    }
  }
}

Program::iterator find(Program& program, Kind kind, int nth) {
  return std::find_if(program.begin(), program.end(),
                      [&](const Instruction& i) { return i.kind == kind && nth-- == 0; });
}

TEST(Checker, FindsAnotherOrderAtOneEndOfALink) {
  LoweredSchedule lowered = lower(one_forward_one_backward(3, 4));
  Program& program = lowered.ranks[1].instructions;
  std::iter_swap(find(program, Kind::start_receive, 0), find(program, Kind::start_receive, 1));
  EXPECT_EQ(check(lowered).fault,
            "rank 1, instruction 0, start to receive the activation of micro-batch 1 from stage 0 to 1: rank "
            "0 sends the activation of micro-batch 0 from stage 0 to 1 where rank 1 receives the activation "
            "of micro-batch 1 from stage 0 to 1");

  lowered = lower(one_forward_one_backward(3, 4));
  Program& sender = lowered.ranks[0].instructions;
  std::rotate(find(sender, Kind::start_send, 0), find(sender, Kind::start_send, 0) + 1,
              find(sender, Kind::start_send, 1) + 1);  // F0 F1 send 1 send 0
  ASSERT_NE(check(lowered).fault, std::nullopt);
}

// Each send waited for at once, each receive started when it is needed: the neighbours' exchange of an
// activation and a gradient then waits for ever.
TEST(Checker, FindsTheDeadlockOfBlockingTransfers) {
  LoweredSchedule lowered = lower(one_forward_one_backward(2, 4));
  for (RankProgram& rank : lowered.ranks) {
    Program blocking;
    for (Instruction instruction : rank.instructions) {
      if (instruction.kind == Kind::wait_send || instruction.kind == Kind::start_receive) continue;
      if (instruction.kind == Kind::wait_receive) {
        Instruction start = instruction;
        start.kind = Kind::start_receive;
        blocking.push_back(start);
      }
      blocking.push_back(instruction);
      if (instruction.kind == Kind::start_send) {
        instruction.kind = Kind::wait_send;
        blocking.push_back(instruction);
      }
    }
    rank.instructions = blocking;
  }
  EXPECT_EQ(check(lowered).fault,
            "deadlock: rank 0 stands at instruction 5, wait for the sending of the activation of micro-batch "
            "1 from stage 0 to 1, and needs rank 1; rank 1 stands at instruction 5, wait for the sending of "
            "the gradient of micro-batch 0 from stage 1 to 0, and needs rank 0");
}

TEST(Checker, FindsAPeerThatNeverSends) {
  LoweredSchedule lowered = lower(forward_only(Placement(2, 1), 1));
  lowered.ranks[0].instructions.resize(1);
  EXPECT_EQ(check(lowered).fault,
            "deadlock: rank 1 stands at instruction 1, wait for the activation of micro-batch 0 from stage 0 "
            "to 1, and needs rank 0, which has finished");
}

TEST(Checker, FindsAMissingWeightGradient) {
  Schedule schedule = split_backward();
  schedule.actions[1].pop_back();
  EXPECT_EQ(check(lower(schedule)).fault,
            "rank 1 never computes the weight gradient of micro-batch 3 on stage 1");
}

TEST(Checker, FindsAWeightGradientTakenTooEarly) {
  LoweredSchedule lowered = lower(split_backward());
  Program& program = lowered.ranks[0].instructions;
  const auto weights = std::find_if(program.begin(), program.end(), [](const Instruction& i) {
    return i.kind == Kind::compute && i.action.kind == ActionKind::weight_gradient;
  });
  std::rotate(program.begin(), weights, weights + 1);
  EXPECT_EQ(check(lowered).fault,
            "rank 0, instruction 0, weight gradient of micro-batch 0 on stage 0: it comes too early");
}

TEST(Checker, FindsABackwardInAForwardOnlySchedule) {
  LoweredSchedule lowered = lower(one_forward_one_backward(1, 2));
  lowered.source.backward = false;
  EXPECT_EQ(check(lowered).fault,
            "rank 0, instruction 1, backward of micro-batch 0 on stage 0: the schedule is forward only");
}

TEST(Checker, FindsASlotUsedTwice) {
  LoweredSchedule lowered = lower(one_forward_one_backward(2, 3));
  for (Instruction& instruction : lowered.ranks[0].instructions) instruction.slot = 0;
  EXPECT_EQ(
      check(lowered).fault,
      "rank 0, instruction 3, forward of micro-batch 1 on stage 0: slot 0 still belongs to micro-batch 0");
}

TEST(Checker, FindsABufferFilledWhileItMoves) {
  LoweredSchedule lowered = lower(one_forward_one_backward(2, 3));
  for (Instruction& instruction : lowered.ranks[0].instructions) {
    if (instruction.kind == Kind::compute && instruction.output == 1) instruction.output = 0;
    const bool sends = instruction.kind == Kind::start_send || instruction.kind == Kind::wait_send;
    if (sends && instruction.transfer.buffer == 1) instruction.transfer.buffer = 0;
  }
  EXPECT_EQ(check(lowered).fault,
            "rank 0, instruction 3, forward of micro-batch 1 on stage 0: it writes to a buffer that still "
            "holds the activation of micro-batch 0 from stage 0 to 1");
}

TEST(Checker, FindsAReceiveOverWhatIsNotYetRead) {
  LoweredSchedule lowered = lower(written_interleaved());
  for (Instruction& instruction : lowered.ranks[1].instructions) {
    if (instruction.kind == Kind::compute) {
      instruction.activation = std::min(instruction.activation, 0);
      instruction.gradient = std::min(instruction.gradient, 0);
    }
    const bool receives = instruction.kind == Kind::start_receive || instruction.kind == Kind::wait_receive;
    if (receives) instruction.transfer.buffer = 0;
  }
  const ScheduleReport report = check(lowered);
  ASSERT_NE(report.fault, std::nullopt);
  EXPECT_NE(report.fault->find("it writes to a buffer that still holds"), std::string::npos) << *report.fault;
}

// The input of a stage is read by the forward, and again by the backward.
TEST(Checker, FindsAReceiveOverTheInputOfAMicroBatchInFlight) {
  LoweredSchedule lowered = lower(one_forward_one_backward(3, 4));
  for (Instruction& instruction : lowered.ranks[1].instructions)
    if (instruction.kind == Kind::compute)
      instruction.activation = instruction.activation % 2;
    else if (instruction.transfer.payload == Payload::activation && instruction.transfer.to_stage == 1)
      instruction.transfer.buffer %= 2;
  EXPECT_EQ(check(lowered).fault,
            "rank 1, instruction 9, start to receive the activation of micro-batch 2 from stage 0 to 1: it "
            "writes to a buffer that still holds the activation of micro-batch 0 from stage 0 to 1");
}

TEST(Checker, FindsAReceiveOverAGradientThatAWeightGradientReads) {
  LoweredSchedule lowered = lower(split_backward());
  ASSERT_EQ(check(lowered).fault, std::nullopt);
  lowered.keeps_gradients = true;
  EXPECT_EQ(check(lowered).fault,
            "rank 1, instruction 13, start to receive the gradient of micro-batch 1 from stage 2 to 1: it "
            "writes to a buffer that still holds the gradient of micro-batch 0 from stage 2 to 1");
}

TEST(Checker, FindsAMissingRank) {
  LoweredSchedule lowered = lower(forward_only(Placement(2, 1), 1));
  lowered.ranks.pop_back();
  EXPECT_EQ(check(lowered).fault, "1 programs for 2 ranks");
}

}  // namespace
}  // namespace headwater
