#include "headwater/train/run_start.h"

#include "headwater/backend/make_backend.h"
#include "headwater/base/bytes.h"
#include "headwater/base/log.h"
#include "headwater/checkpoint/model_difference.h"
#include "headwater/comm/communicator.h"
#include "headwater/comm/world.h"
#include "headwater/config/config_changes.h"
#include "headwater/data/tokenizer.h"
#include "headwater/nn/model_units.h"
#include "headwater/plan/search/auto_layout.h"
#include "headwater/run/freeze.h"
#include "headwater/run/global_batch.h"

#include <fmt/ranges.h>

#include <cstdlib>
#include <sstream>

namespace headwater {
namespace {

// Returns rank 0's text on every rank. Collective.
std::string shared(Communicator& ranks, const std::string& text) {
  const std::span<const std::byte> own = as_bytes(text);
  std::vector<std::byte> bytes(own.begin(), own.end());
  broadcast_bytes(ranks, bytes, 0);
  return std::string(as_text(bytes));
}

// Returns the checkpoint to go on from; "" where there is none.
std::string find_resume(const TrainingConfig& training, const std::optional<Path>& newest) {
  if (newest) return newest->string();
  return training.load.empty() ? "" : find_checkpoint(training.load).string();
}

// Returns the model of `source` where the config gives none. Otherwise it returns the config's, which must be
// the same as that of `source`.
ModelConfig agreed_model(const LoadedConfig& config, const WeightSource* source, Compare what) {
  if (source != nullptr && !config.section_given("model")) return source->model();
  validate_model(config.run.model);  // as it was given, before what it leaves out is filled in
  const ModelConfig asked = resolved(config.run.model, config.run.training.seq_length);
  if (source != nullptr)
    if (const auto difference = model_difference(source->model(), asked, what))
      throw UserError("{} is of another model: {}", source->description(), *difference);
  return asked;
}

// Returns the threads of each rank after a resume. On as many ranks as before they are the checkpoint's, so
// that the run goes on to the same bits, unless OMP_NUM_THREADS is set or the machine has fewer cores.
int resumed_threads(const SaveHeader& header, int threads, const World& world) {
  const int saved = static_cast<int>(header.threads);
  const bool same_ranks = header.data_parallel_size * header.parallel.tensor_model_parallel_size *
                              header.parallel.pipeline_model_parallel_size ==
                          world.size();
  if (same_ranks && saved <= threads && std::getenv("OMP_NUM_THREADS") == nullptr) return saved;
  if (saved != threads)
    log::info("{} threads a rank, {} when the checkpoint was written: the same up to the rounding of sums",
              threads, saved);
  return threads;
}

bool same_stages(const ParallelConfig& a, const ParallelConfig& b) {
  return a.pipeline_model_parallel_size == b.pipeline_model_parallel_size && a.num_chunks == b.num_chunks &&
         a.pipeline_schedule == b.pipeline_schedule;
}

// Replaces pipeline_layout "auto". Where the checkpoint has as many stages, its layers stay, whatever the
// cluster file says by now. Otherwise rank 0 searches and tells the others.
void resolve_layout(RunStart& start, Communicator& ranks) {
  ParallelConfig& parallel = start.run.parallel;
  if (!is_auto(parallel.pipeline_layout)) return;
  if (start.checkpoint && same_stages(parallel, start.checkpoint->manifest().header.parallel)) {
    parallel.pipeline_layout = start.checkpoint->manifest().header.parallel.pipeline_layout;
    return;
  }
  std::string found;
  if (ranks.rank() == 0) {
    const RankLayoutRequest request = training_request(start.run, start.settings, ranks.size());
    const PipelineLayout layout =
        with_layers_found(request, start.settings.dtype, ranks.size()).parallel.pipeline_layout;
    found = fmt::format("{}", fmt::join(layout.layers, ","));
    log::info("parallel.pipeline_layout \"auto\" is [{}]", found);
  }
  std::istringstream numbers(shared(ranks, found));
  for (std::string count; std::getline(numbers, count, ',');)
    parallel.pipeline_layout.layers.push_back(std::stoll(count));
}

// Each rank reads a share of the checkpoint's files and compares their hashes. UserError, on every rank,
// where one differs.
void check_files(const Checkpoint& checkpoint, Communicator& ranks) {
  std::string bad;
  int number = 0;
  for (const auto& [name, file] : checkpoint.manifest().files)
    if (number++ % ranks.size() == ranks.rank() && bad.empty() &&
        file_hash(checkpoint.path() / name) != file.hash)
      bad = name;
  for (const std::vector<std::byte>& bytes : gather_bytes(ranks, as_bytes(bad)))
    if (!bytes.empty())
      throw UserError(
          "{}: {} is not as it was written (its checksum differs); headwater checkpoint verify looks at all",
          checkpoint.description(), as_text(bytes));
}

void resolve_end_of_document(RunConfig& run) {
  if (run.data.tokenizer.empty()) return;
  const std::unique_ptr<Tokenizer> tokenizer = make_tokenizer(run.data.tokenizer);
  if (tokenizer->vocab_size() > run.model.vocab_size)
    throw UserError("data.tokenizer {} has {} tokens, more than model.vocab_size {}", run.data.tokenizer,
                    tokenizer->vocab_size(), run.model.vocab_size);
  if (run.data.eod < 0) run.data.eod = tokenizer->eod();
}

// Returns a line for each key that differs between the checkpoint's run and this one. What is left to the
// program ("auto", 0) is compared as it was decided then and is decided now: so a resume by the same command
// has no lines, and one in which another number of ranks decides otherwise has.
std::vector<std::string> changes_since(const SaveHeader& header, const RunStart& start) {
  RunConfig before = header.config, after = start.run;
  before.parallel = header.parallel;
  before.training.dtype = header.dtype;
  after.training.dtype = start.settings.dtype;
  return config_changes(before, after);
}

// Returns "a is", or "a and 3 more are".
std::string these_are(const std::vector<std::string>& names) {
  return names.size() == 1 ? names.front() + " is"
                           : fmt::format("{} and {} more are", names.front(), names.size() - 1);
}

// Decides whether the moments of the checkpoint are used. A parameter that is trained from now on, but was
// not before, has none there. AdamW counts its updates for all parameters together, and by that count
// corrects moments for having begun at zero; so in that case all of them begin anew.
void decide_moments(RunStart& start) {
  const SaveHeader& header = start.checkpoint->manifest().header;
  const auto parameters_with = [&](const std::vector<std::string>& freeze) {
    return parameters(model_to_train(start.run.model, freeze));
  };
  const std::vector<ParameterSpec> was = parameters_with(header.config.training.freeze),
                                   is = parameters_with(start.run.training.freeze);
  std::vector<std::string> added, dropped;
  for (std::size_t i = 0; i < is.size(); ++i) {
    if (is[i].trained && !was[i].trained) added.push_back(is[i].name);
    if (was[i].trained && !is[i].trained) dropped.push_back(is[i].name);
  }
  if (!dropped.empty())
    log::info("training.freeze: {} not trained from now on, and the checkpoint's moments are left behind",
              these_are(dropped));
  if (added.empty()) return;
  log::info(
      "training.freeze: {} trained from now on, without moments in the checkpoint; AdamW begins anew, "
      "with moments of zero for every parameter",
      these_are(added));
  start.moments_begin_anew = true;
  start.counters.updates = 0;
}

}  // namespace

std::optional<std::string> other_library(std::int64_t then, std::int64_t now) {
  if (then == 0 || now == 0 || then == now) return std::nullopt;
  return fmt::format(
      "cuBLASLt is {}, but was {} when the checkpoint was written: matrix products may round otherwise, so "
      "that this run goes on to other bits than one with {} would",
      now, then, then);
}

RunStart find_start(const LoadedConfig& config, const std::optional<Path>& newest, Communicator& ranks,
                    World& world) {
  const TrainingConfig& training = config.run.training;
  RunStart start;
  start.run = config.run;
  start.settings = choose_settings(training, world);
  const std::string resume = shared(ranks, ranks.rank() == 0 ? find_resume(training, newest) : "");
  if (!resume.empty()) {
    start.checkpoint = std::make_unique<Checkpoint>(resume);
    const SaveHeader& header = start.checkpoint->manifest().header;
    if (training.dtype == "auto") start.settings.dtype = header.dtype;
    start.settings.threads = resumed_threads(header, start.settings.threads, world);
    const auto other = other_library(header.cublaslt, matmul_library_version(start.settings.device));
    if (other && ranks.rank() == 0) log::warning("{}", *other);
    check_files(*start.checkpoint, ranks);
    start.counters = header.counters;
    start.run.model = agreed_model(config, start.checkpoint.get(), Compare::all);
    if (start.run.parallel.lfa_sharding == "auto" &&
        start.run.parallel.sequence_parallel == header.parallel.sequence_parallel)
      start.run.parallel.lfa_sharding = header.parallel.lfa_sharding;  // as it was chosen then
  } else {
    if (!training.init_from.empty()) start.initial_weights = open_weights(training.init_from);
    start.run.model = agreed_model(config, start.initial_weights.get(), Compare::weights);
  }
  validate(start.run);
  start.run.parallel = resolved(start.run.parallel);
  start.run.training.global_batch_size = global_batch_size(start.run, world.size());
  resolve_layout(start, ranks);
  start.run.parallel.lfa_sharding =
      training_request(start.run, start.settings, world.size()).parallel.lfa_sharding;
  resolve_end_of_document(start.run);
  if (start.checkpoint) {
    log::info("resuming from {} after step {}", start.checkpoint->description(), start.counters.step);
    for (const std::string& change : changes_since(start.checkpoint->manifest().header, start))
      log::info("changed since the checkpoint: {}", change);
    decide_moments(start);
  }
  return start;
}

}  // namespace headwater
