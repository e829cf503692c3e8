#include "scaling_launch.h"

#include "headwater/base/bytes.h"
#include "headwater/base/error.h"
#include "headwater/base/failure.h"
#include "headwater/base/file.h"
#include "headwater/base/log.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <sstream>

namespace headwater {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

void append(std::vector<std::string>& to, const std::vector<std::string>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

// Returns the command that each rank runs.
std::vector<std::string> program_of(const ScalingLaunch& launch, const ScalingRun& run) {
  std::vector<std::string> words = {std::filesystem::read_symlink("/proc/self/exe").string()};
  append(words, launch.bench_step);
  for (const std::string& word : words_of(launch.layouts[static_cast<std::size_t>(run.layout)].words))
    words.push_back("--parallel." + word);
  words.push_back(fmt::format("--training.global_batch_size={}", run.global_batch));
  words.emplace_back("--json");
  return words;
}

std::vector<std::string> launcher_of(const ScalingLaunch& launch, int ranks) {
  std::vector<std::string> words = words_of(launch.launcher);
  if (words.empty()) {
    words = {"mpirun", "--bind-to", "none"};
    // A hardware thread counts as a core, as in an affinity mask.
    words.emplace_back(oversubscribes(launch, ranks) ? "--oversubscribe" : "--use-hwthread-cpus");
  }
  append(words, {"-n", std::to_string(ranks)});
  return words;
}

// Returns the run's name, which is always the same: "ranks-4_batch-16_pipeline_model_parallel_size-2".
std::string file_name(const ScalingLaunch& launch, const ScalingRun& run) {
  std::string name = fmt::format("ranks-{}_batch-{}", run.ranks, run.global_batch);
  for (const std::string& word : words_of(launch.layouts[static_cast<std::size_t>(run.layout)].words))
    name += "_" + word;
  for (char& c : name)
    if (std::string_view("=[],/\"' ").find(c) != std::string_view::npos) c = '-';
  return name;
}

std::filesystem::path result_file(const ScalingLaunch& launch, const ScalingRun& run) {
  return std::filesystem::path(launch.results) / (file_name(launch, run) + ".json");
}

RunSpeed read_speed(const std::string& text, const std::string& where, const ScalingRun& run) {
  try {
    const nlohmann::json found = nlohmann::json::parse(text);
    RunSpeed speed{found.at("tokens_per_second"), found.at("elapsed_ms"), found.at("threads"),
                   found.at("waiting_share")};
    if (found.at("ranks") == run.ranks && static_cast<int>(speed.waiting_share.size()) == run.ranks)
      return speed;
    throw UserError(
        "{} is of {} ranks, not of {}: the launcher started another number, or the file is another run's",
        where, found.at("ranks").dump(), run.ranks);
  } catch (const nlohmann::json::exception&) {
    throw UserError("{} is not what `headwater bench step --json` prints", where);
  }
}

// Returns the run's own line of error; where it has none, its last line that is not empty.
Failure failure_of_child(const ChildResult& child) {
  constexpr std::string_view kError = "headwater: error: ";
  // 137, 205: a rank or host was lost
  const int code = child.exit_code == 127 ? 2 : child.exit_code > 4 ? 4 : child.exit_code;
  std::istringstream lines(child.error);
  std::string last = "it said nothing";
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(kError, 0) == 0) return {code, line.substr(kError.size())};
    if (line.find_first_not_of("- ") != std::string::npos) last = line;
  }
  return {code, fmt::format("it ended with {}: {}", child.exit_code, last)};
}

}  // namespace

bool oversubscribes(const ScalingLaunch& launch, int ranks) {
  return launch.launcher.empty() && ranks > launch.cores;
}

RunSpeed measure(const ScalingLaunch& launch, const ScalingRun& run) {
  const std::filesystem::path kept = launch.results.empty() ? "" : result_file(launch, run);
  if (!kept.empty() && std::filesystem::exists(kept)) {
    log::info("read from {}", kept.string());
    const MappedFile file(kept);
    return read_speed(std::string(as_text(file.bytes())), kept.string(), run);
  }
  std::vector<std::string> command = launcher_of(launch, run.ranks);
  append(command, program_of(launch, run));
  const ChildResult child = run_child(command, {{"OMP_NUM_THREADS", std::to_string(launch.threads)}});
  if (child.exit_code != 0) raise(failure_of_child(child));
  const RunSpeed speed = read_speed(child.out, "the output", run);
  if (!kept.empty()) {
    std::filesystem::create_directories(kept.parent_path());
    write_text_atomically(kept, child.out);
  }
  return speed;
}

std::string slurm_script(const ScalingLaunch& launch, const std::vector<ScalingRun>& runs, int ranks_per_node,
                         const std::string& afterwards) {
  std::string text = fmt::format(
      "#!/usr/bin/env bash\n# One Slurm job per run of a scaling measurement. When all have ended:\n"
      "#   {}\nset -euo pipefail\nmkdir -p {}\n",
      afterwards, shell_line({launch.results}));
  const std::string launcher = launch.launcher.empty() ? "mpirun --bind-to none" : launch.launcher;
  for (const ScalingRun& run : runs) {
    const std::string file = shell_line({result_file(launch, run).string()}), name = file_name(launch, run);
    // mpirun takes hosts and ranks from Slurm; -n says the same once more.
    const std::string job = fmt::format("{} -n {} {} >{}.new && mv {}.new {}", launcher, run.ranks,
                                        shell_line(program_of(launch, run)), file, file, file);
    std::vector<std::string> submit = {
        "sbatch",
        "--job-name=" + name,
        fmt::format("--ntasks={}", run.ranks),
        fmt::format("--cpus-per-task={}", launch.threads),
        fmt::format("--export=ALL,OMP_NUM_THREADS={}", launch.threads),
        "--output=" + (std::filesystem::path(launch.results) / (name + ".log")).string()};
    if (ranks_per_node > 0)
      submit.push_back(fmt::format("--ntasks-per-node={}", std::min(ranks_per_node, run.ranks)));
    submit.push_back("--wrap=" + job);
    text += shell_line(submit) + "\n";
  }
  return text;
}

}  // namespace headwater
