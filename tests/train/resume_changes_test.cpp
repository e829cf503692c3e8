// The lines "changed since the checkpoint" of a resume.

#include "tests/train/training_run.h"

namespace headwater {
namespace {

using test::Layout;
using Strings = std::vector<std::string>;

// Everything that the program may decide is left to it.
const Strings kLeftOpen = {
    "model.vocab_size=320", "data.tokenizer=bytes", "data.eod=-1",           "training.global_batch_size=0",
    "training.dtype=auto",  "training.device=auto", "parallel.num_chunks=0", "parallel.lfa_sharding=auto"};

// Trains until `steps`, and returns what each rank logs as changed beside that number, without the time
// before it.
Strings changes_of(const Path& save, const Layout& layout, int steps, const Strings& more = kLeftOpen) {
  testing::internal::CaptureStderr();
  test::train_in(save, layout, steps, more);
  std::istringstream log(testing::internal::GetCapturedStderr());
  const std::string words = "changed since the checkpoint: ";
  Strings changes;
  for (std::string line; std::getline(log, line);)
    if (const std::size_t at = line.find(words);
        at != std::string::npos && line.find("training.train_iters") == std::string::npos)
      changes.push_back(line.substr(at + words.size()));
  return changes;
}

const Layout kOne{"one rank", 1, {}};
const Layout kCut{
    "tokens cut", 2, {"parallel.tensor_model_parallel_size=2", "parallel.sequence_parallel=true"}};

TEST(ResumeChanges, TheSameCommandChangesNothing) {
  const Layout pipeline{
      "auto", 2, {"parallel.pipeline_model_parallel_size=2", "parallel.pipeline_layout=auto"}};
  for (const Layout& layout : {kOne, kCut, pipeline, test::scheduled("zb-v", 2, "uniform")}) {
    const TemporaryFolder folder;
    EXPECT_EQ(changes_of(folder / "save", layout, 1), Strings{}) << layout.name << ", begun";
    EXPECT_EQ(changes_of(folder / "save", layout, 2), Strings{}) << layout.name << ", resumed";
    EXPECT_EQ(changes_of(folder / "save", layout, 2, kLeftOpen), Strings{}) << layout.name << ", again";
  }
}

// One micro-batch for each replica is another number of samples on other ranks, though no key was touched.
TEST(ResumeChanges, WhatTheProgramDecidesOtherwiseIsAChange) {
  const TemporaryFolder folder;
  static_cast<void>(changes_of(folder / "save", kOne, 1));
  const Strings lines = changes_of(folder / "save", {"data 2", 2, {}}, 2);
  EXPECT_TRUE(std::ranges::count(lines, "training.global_batch_size: 1 -> 2") == 2) << lines.size();
}

// Both runs name what they want: what is written in the config and what follows from it are the same.
TEST(ResumeChanges, ANamedKeyIsAChangeWhereItDecidesOtherwise) {
  const TemporaryFolder folder;
  static_cast<void>(changes_of(folder / "save", kCut, 1));
  const std::string chosen =
      Checkpoint(find_checkpoint(folder / "save")).manifest().header.parallel.lfa_sharding;
  const std::string other = chosen == "tokens" ? "channels" : "tokens";
  const auto with = [](const std::string& sharding) {
    Strings more = kLeftOpen;
    more.back() = "parallel.lfa_sharding=" + sharding;
    return more;
  };
  EXPECT_EQ(changes_of(folder / "save", kCut, 2, with(chosen)), Strings{});
  const std::string line = fmt::format("parallel.lfa_sharding: \"{}\" -> \"{}\"", chosen, other);
  EXPECT_EQ(changes_of(folder / "save", kCut, 3, with(other)), (Strings{line, line}));
}

}  // namespace
}  // namespace headwater
