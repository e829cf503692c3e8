#include "headwater/base/clock.h"
#include "headwater/base/error.h"
#include "headwater/comm/world.h"
#include "headwater/config/load_config.h"
#include "tests/checkpoint/saved_state.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <mutex>
#include <set>
#include <thread>

namespace headwater {
namespace {

std::unique_ptr<Communicator> everybody(World& world) { return world.group("save", world.all_ranks()); }

void save(World& world, const SaveFolder& folder, Cut cut, std::int64_t step, std::int64_t keep = 0) {
  const auto ranks = everybody(world);
  Saver saver(folder, *ranks, keep);
  RankState state = rank_state(cut, world.rank(), world.size(), step);
  saver.stage(state.tensors);
  for (auto& memory : state.memory) std::ranges::fill(memory, -1.0F);  // training goes on after stage()
  saver.commit(saved_header(step));
}

void save_alone(const SaveFolder& folder, std::int64_t step, std::int64_t keep = 0) {
  const auto world = make_self_world();
  save(*world, folder, Cut::whole_on_first, step, keep);
}

std::set<std::string> names_in(const Path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}

bool has_temporary(const Path& folder) {
  for (const std::string& name : names_in(folder))
    if (name.find(".tmp") != std::string::npos) return true;
  return false;
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
    return "";
  } catch (const UserError& error) {
    return error.what();
  }
}

TEST(Saver, AnyLayoutWritesWhatAnyLayoutReads) {
  for (const Cut cut : {Cut::whole_on_first, Cut::dealt_out, Cut::boxes_and_ranges}) {
    for (const int ranks : {1, 2, 4}) {
      TemporaryFolder place;
      const SaveFolder folder(place.path());
      run_on_threads(ranks, [&](World& world) { save(world, folder, cut, 1000); });
      EXPECT_EQ(names_in(place.path()), (std::set<std::string>{"latest", "step-00001000"}));
      EXPECT_EQ(read_text(place / "latest"), "step-00001000");
      const Checkpoint checkpoint(*folder.newest());
      EXPECT_EQ(wrong_elements(checkpoint, 1000), 0) << ranks << " ranks";
      EXPECT_EQ(checkpoint.manifest().header, saved_header(1000));
      EXPECT_TRUE(verify_checkpoint(folder.checkpoint(1000)).bad.empty());
      EXPECT_EQ(parameter_count(checkpoint.manifest()), 30 + 24 + 7 + 72);

      // A part that no rank wrote as such: a range of the elements of some columns.
      const Slice odd{{{1, 2}, {6, 5}}, 3, 20};
      std::vector<double> values(20);
      checkpoint.read("layers.1.attention.o.weight", StateKind::exp_avg, odd,
                      {values.data(), DType::f64, {20}});
      for (std::int64_t i = 0; i < 20; ++i) {
        const std::int64_t row = 1 + (i + 3) / 5, column = 2 + (i + 3) % 5;
        EXPECT_EQ(values[static_cast<std::size_t>(i)],
                  saved_value("layers.1.attention.o.weight", StateKind::exp_avg, 1000, row * 9 + column));
      }
    }
  }
}

TEST(Saver, NumbersFilesAmongThoseThatWrite) {
  TemporaryFolder place;
  const SaveFolder folder(place.path());
  run_on_threads(4, [&](World& world) { save(world, folder, Cut::boxes_and_ranges, 1); });
  EXPECT_EQ(
      names_in(folder.checkpoint(1)),
      (std::set<std::string>{"manifest.json", "manifest.xxh3", "weights-00000-of-00003.safetensors",
                             "weights-00001-of-00003.safetensors", "weights-00002-of-00003.safetensors",
                             "optimizer-00000-of-00003.safetensors", "optimizer-00001-of-00003.safetensors",
                             "optimizer-00002-of-00003.safetensors"}));
  // In the weights' file a tensor has its parameter's name and shape.
  save_alone(folder, 2);
  const SafetensorsReader file(folder.checkpoint(2) / "weights-00000-of-00001.safetensors");
  for (const auto& [name, shape] : saved_shapes()) EXPECT_EQ(file.at(name).shape, shape);
}

TEST(Saver, SavesOverAndOver) {
  TemporaryFolder place;
  const SaveFolder folder(place.path());
  run_on_threads(2, [&](World& world) {
    const auto ranks = everybody(world);
    Saver saver(folder, *ranks, 0);
    for (const std::int64_t step : {5, 10, 15}) {
      const RankState state = rank_state(Cut::boxes_and_ranges, world.rank(), 2, step);
      saver.stage(state.tensors);
      saver.commit(saved_header(step));
    }
  });
  for (const std::int64_t step : {5, 10, 15})
    EXPECT_EQ(wrong_elements(Checkpoint(folder.checkpoint(step)), step), 0);
}

// The address space that this process has mapped.
std::int64_t mapped_bytes() {
  const std::string statm = read_text("/proc/self/statm");  // "PAGES …"
  return std::stoll(statm) * ::sysconf(_SC_PAGESIZE);
}

TEST(Saver, HoldsNoMemoryAfterASave) {
#ifdef HEADWATER_SANITIZED
  GTEST_SKIP() << "sanitizers keep freed memory, and map memory of their own";
#endif
  constexpr std::int64_t kElements = 8 << 20, kBytes = 4 * kElements, kSlack = kBytes / 4;
  TemporaryFolder place;
  const SaveFolder folder(place.path());
  const auto world = make_self_world();
  const auto ranks = everybody(*world);
  Saver saver(folder, *ranks, 1);
  std::vector<float> values(kElements, 1.0F);
  const std::vector<SaveTensor> tensors{{"embedding.weight",
                                         StateKind::weight,
                                         {kElements},
                                         whole({kElements}),
                                         TensorView(values.data(), DType::f32, {kElements})}};
  const std::int64_t before = mapped_bytes();
  for (const std::int64_t step : {1, 2, 2}) {  // the last time there is nothing to write
    saver.stage(tensors);
    EXPECT_GE(mapped_bytes(), before + kBytes);
    saver.commit(saved_header(step));
    EXPECT_LT(mapped_bytes(), before + kSlack) << step;
  }
  saver.stage(tensors);
  inject_write_fault(1, ENOSPC);
  EXPECT_THROW(saver.commit(saved_header(4)), SystemError);
  inject_write_fault(0, 0);
  EXPECT_LT(mapped_bytes(), before + kSlack);
}

TEST(Saver, KeepsTheNewest) {
  TemporaryFolder place;
  const SaveFolder folder(place.path());
  for (std::int64_t step = 1; step <= 5; ++step) save_alone(folder, step, step < 3 ? 0 : 2);
  EXPECT_EQ(folder.complete(), (std::vector<std::int64_t>{4, 5}));
  // Checkpoints after the latest are from before a resume at an earlier step. They are neither counted nor
  // removed.
  folder.set_latest(4);
  folder.prune(1);
  EXPECT_EQ(folder.complete(), (std::vector<std::int64_t>{4, 5}));
  save_alone(folder, 5, 1);  // the run comes to step 5 again and replaces what lies there
  EXPECT_EQ(folder.complete(), (std::vector<std::int64_t>{5}));
  EXPECT_EQ(*folder.latest(), 5);
}

TEST(Saver, AStepThatIsSavedIsNotSavedAgain) {
  TemporaryFolder place;
  const SaveFolder folder(place.path());
  save_alone(folder, 3);
  const auto before = std::filesystem::last_write_time(folder.checkpoint(3) / "manifest.json");
  save_alone(folder, 3);
  EXPECT_EQ(std::filesystem::last_write_time(folder.checkpoint(3) / "manifest.json"), before);
  // A damaged one is saved again.
  std::filesystem::resize_file(folder.checkpoint(3) / "optimizer-00000-of-00001.safetensors", 100);
  save_alone(folder, 3);
  EXPECT_EQ(wrong_elements(Checkpoint(folder.checkpoint(3)), 3), 0);
}

// Makes every write, sync, rename and close fail in turn, on whichever rank makes the call.
TEST(Saver, AFaultAtAnyWriteLeavesThePreviousCheckpoint) {
  for (const int ranks : {1, 2}) {
    TemporaryFolder place;
    const SaveFolder folder(place.path());
    const auto try_save = [&](std::int64_t step) {
      std::vector<std::string> reasons(static_cast<std::size_t>(ranks));
      run_on_threads(ranks, [&](World& world) {
        try {
          save(world, folder, Cut::dealt_out, step, 1);
        } catch (const SystemError& error) {
          reasons[static_cast<std::size_t>(world.rank())] = error.what();
        }
      });
      return reasons;
    };
    try_save(10);
    int faults = 0, published = 0;
    for (std::uint64_t call = 1;; ++call) {
      inject_write_fault(call, ENOSPC);
      const std::vector<std::string> reasons = try_save(20);
      inject_write_fault(0, 0);
      if (reasons[0].empty()) break;
      ++faults;
      for (const std::string& reason : reasons) {
        EXPECT_EQ(reason, reasons[0]);
        EXPECT_NE(reason.find("No space left"), std::string::npos) << reason;
      }
      EXPECT_FALSE(has_temporary(place.path())) << call;
      const std::int64_t latest = *folder.latest();
      EXPECT_EQ(folder.complete(),
                latest == 10 ? std::vector<std::int64_t>{10} : (std::vector<std::int64_t>{10, 20}));
      EXPECT_EQ(wrong_elements(Checkpoint(*folder.newest()), latest), 0);
      if (latest == 20) {  // only the sync after `latest` moved had failed
        ++published;
        folder.set_latest(10);
        remove_tree(folder.checkpoint(20));
      }
    }
    // Each rank writes, syncs and closes two files. Rank 0 does so with two more, syncs the folder, renames
    // it, syncs again, and writes `latest` in five calls.
    EXPECT_EQ(faults, ranks * 6 + 6 + 3 + 5);
    EXPECT_EQ(published, 1);
    EXPECT_EQ(wrong_elements(Checkpoint(folder.checkpoint(20)), 20), 0);
  }
}

TEST(Saver, AKillAtAnyMomentLeavesACompleteCheckpoint) {
  TemporaryFolder place;
  const SaveFolder folder(place.path());
  const Stopwatch watch;
  save_alone(folder, 1);
  const auto one_save = std::chrono::duration<double>(watch.seconds());
  for (int trial = 0; trial < 20; ++trial) {
    const std::int64_t first = *folder.latest() + 1;
    int first_saved[2];  // the child writes to it when its first save is whole
    ASSERT_EQ(::pipe(first_saved), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        const FileLock lock = folder.claim();
        for (std::int64_t step = first;; ++step) {
          save_alone(folder, step, 2);
          if (step == first && ::write(first_saved[1], "", 1) != 1) break;
        }
      } catch (...) {
        // The parent sees that this process ended by itself.
      }
      std::_Exit(1);
    }
    char byte = 0;
    ::close(first_saved[1]);
    EXPECT_EQ(::read(first_saved[0], &byte, 1), 1);
    ::close(first_saved[0]);
    std::this_thread::sleep_for(one_save * (0.1 * trial));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));

    const Path newest = *folder.newest();
    EXPECT_TRUE(verify_checkpoint(newest).bad.empty());
    EXPECT_EQ(wrong_elements(Checkpoint(newest), *folder.latest()), 0);
  }
  const FileLock lock = folder.claim();  // the kernel gave the killed run's lock back
  EXPECT_FALSE(has_temporary(place.path()));
  EXPECT_GT(*folder.latest(), 20);
}

TEST(SaveFolder, ASecondRunIsRefused) {
  TemporaryFolder place;
  const SaveFolder folder(place / "not/yet/there");
  {
    const FileLock lock = folder.claim();
    EXPECT_NE(error_of([&] { folder.claim(); }).find(folder.path().string()), std::string::npos);
    EXPECT_EQ(folder.latest(), std::nullopt);
    EXPECT_EQ(folder.newest(), std::nullopt);
  }
  const FileLock again = folder.claim();
}

TEST(SaveFolder, NamesSteps) {
  EXPECT_EQ(SaveFolder::name_of(1000), "step-00001000");
  EXPECT_EQ(SaveFolder::name_of(1234567890), "step-1234567890");
  EXPECT_EQ(SaveFolder::step_of("step-00001000"), 1000);
  EXPECT_EQ(SaveFolder::step_of("step-1234567890"), 1234567890);
  for (const char* name :
       {"step-1000", "step-", "step-00001000.tmp", "step--0000001", "latest", "step-0000100x"})
    EXPECT_EQ(SaveFolder::step_of(name), std::nullopt) << name;
}

TEST(SaveFolder, ALatestThatCannotBeUsedNamesAnother) {
  TemporaryFolder place;
  const SaveFolder folder(place.path());
  save_alone(folder, 10);
  save_alone(folder, 20);
  std::filesystem::remove(place / "latest");  // then what is complete counts
  EXPECT_EQ(*folder.newest(), folder.checkpoint(20));
  folder.set_latest(20);
  std::filesystem::resize_file(folder.checkpoint(20) / "weights-00000-of-00001.safetensors", 200);
  const std::string cut = error_of([&] { folder.newest(); });
  EXPECT_NE(cut.find("step-00000020"), std::string::npos) << cut;
  EXPECT_NE(cut.find("step-00000010"), std::string::npos) << cut;
  EXPECT_NE(cut.find("200 bytes"), std::string::npos) << cut;
  remove_tree(folder.checkpoint(20));
  EXPECT_NE(error_of([&] { folder.newest(); }).find("step-00000010"), std::string::npos);
  remove_tree(folder.checkpoint(10));
  EXPECT_NE(error_of([&] { folder.newest(); }).find("no other complete checkpoint"), std::string::npos);
  write_text_atomically(place / "latest", "whatever\n");
  EXPECT_NE(error_of([&] { folder.newest(); }).find("whatever"), std::string::npos);
}

}  // namespace
}  // namespace headwater
