#include "headwater/base/error.h"
#include "headwater/checkpoint/checkpoint.h"
#include "headwater/checkpoint/save_folder.h"
#include "headwater/config/load_config.h"

#include "commands.h"

#include <nlohmann/json.hpp>

#include <fmt/ranges.h>

#include <iostream>

namespace headwater {
namespace {

struct CheckpointOptions {
  std::string folder;
  bool json = false;
};

int info(const CheckpointOptions& options) {
  const Checkpoint checkpoint(find_checkpoint(options.folder));
  const Manifest& manifest = checkpoint.manifest();
  const SaveHeader& header = manifest.header;
  nlohmann::json parallel = to_json(header.config).at("parallel");
  parallel["data_parallel_size"] = header.data_parallel_size;
  if (options.json) {
    std::cout << nlohmann::json{{"step", header.counters.step},
                                {"samples", header.counters.samples},
                                {"tokens", header.counters.tokens},
                                {"parameters", parameter_count(manifest)},
                                {"parallel", parallel},
                                {"files", manifest.files.size()},
                                {"bytes", total_bytes(manifest)},
                                {"dtype", header.dtype},
                                {"run", header.counters.run}}
                     .dump()
              << std::endl;
    return 0;
  }
  std::cout
      << fmt::format(
             "{}\n  step {}, {} samples, {} tokens, run {}\n  {} parameters, {}\n  {} files, {:.1f} MiB\n",
             checkpoint.path().string(), header.counters.step, header.counters.samples,
             header.counters.tokens, header.counters.run, parameter_count(manifest), header.dtype,
             manifest.files.size(), static_cast<double>(total_bytes(manifest)) / 1048576.0)
      << fmt::format("  written by {} pipeline stages x {} replicas",
                     header.parallel.pipeline_model_parallel_size, header.data_parallel_size)
      << std::endl;
  return 0;
}

// Returns the checkpoint that `latest` of a save folder names, even where that is damaged: the command is to
// say so.
Path checkpoint_to_verify(const Path& folder) {
  const SaveFolder saves(folder);
  if (const std::optional<std::int64_t> step = saves.latest()) return saves.checkpoint(*step);
  return find_checkpoint(folder);
}

int verify(const CheckpointOptions& options) {
  const Path folder = checkpoint_to_verify(options.folder);
  const VerifyResult result = verify_checkpoint(folder);
  if (options.json)
    std::cout << nlohmann::json{{"files", result.files}, {"bad", result.bad}}.dump() << std::endl;
  else if (result.bad.empty())
    std::cout << fmt::format("{}: {} files, all as written", folder.string(), result.files) << std::endl;
  if (!result.bad.empty())
    throw UserError("{}: {} of {} files are not as they were written: {}", folder.string(), result.bad.size(),
                    result.files, fmt::join(result.bad, ", "));
  return 0;
}

}  // namespace

void add_checkpoint(Command app, Session& session) {
  Command checkpoint = app.command("checkpoint", "Look into checkpoints: info, verify");
  checkpoint.needs_a_command();
  const auto add = [&](const char* name, const char* help, int (*run)(const CheckpointOptions&)) {
    auto options = std::make_shared<CheckpointOptions>();
    Command command = checkpoint.command(name, help);
    command.option("DIR", &options->folder, "checkpoint, or save folder (its latest)").required();
    command.flag("--json", &options->json, "print one JSON object");
    command.runs([&session, options, run] {
      session.one_rank_only("checkpoint");
      return run(*options);
    });
  };
  add("info", "What a checkpoint holds", info);
  add("verify", "Check every file's checksum", verify);
}

}  // namespace headwater
