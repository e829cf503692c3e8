#include "headwater/train/trainer.h"

#include "headwater/backend/make_backend.h"
#include "headwater/base/clock.h"
#include "headwater/base/log.h"
#include "headwater/base/signals.h"
#include "headwater/nn/flops.h"
#include "headwater/nn/model_units.h"
#include "headwater/optim/learning_rate.h"
#include "headwater/run/memory_table.h"
#include "headwater/run/step_samples.h"
#include "headwater/stage/initialize.h"
#include "headwater/train/data_streams.h"
#include "headwater/train/run_setup.h"
#include "headwater/train/state_io.h"
#include "headwater/train/training_step.h"

#include "not_finite.h"
#include "replica_check.h"
#include "run_description.h"

#include <cmath>
#include <ostream>
#include <utility>

namespace headwater {
namespace {

constexpr double kPeersAliveSeconds = 5.0;

}  // namespace

Trainer::Trainer(World& world, const LoadedConfig& config, std::ostream* out, const MakeStepObserver& observe)
    : world_(world), out_(out) {
  world_.set_timeout(config.run.training.comm_timeout_s);
  control_ = world_.group("control", all_ranks(world_));
  saving_ = world_.group("saving", all_ranks(world_));
  if (!config.run.training.save.empty()) save_folder_.emplace(Path(config.run.training.save));
  start_ = find_start(config, claim_save_folder(), *control_, world_);
  counters_ = start_.counters;
  const RankLayout layout = lay_out();
  open_data();
  build(layout, observe);
  open_metrics();
}

Trainer::~Trainer() = default;

std::optional<Path> Trainer::claim_save_folder() {
  if (!save_folder_ || world_.rank() != 0) return {};
  lock_.emplace(save_folder_->claim());
  return save_folder_->newest();
}

RankLayout Trainer::lay_out() const {
  const RankLayoutRequest request = training_request(start_.run, start_.settings, world_.size());
  RankLayout layout(request, world_.rank(), world_.size());
  if (out_ != nullptr)
    *out_ << layout.stages.table(request.model, layout.placement, layout.bytes_per_parameter()) << "\n"
          << memory_table(segments_of(pipeline_layouts(request, world_.size(), layout.schedules))) << "\n"
          << std::endl;
  return layout;
}

void Trainer::open_data() {
  documents_ = document_options(start_.run.data);
  training_data_.emplace(training_stream(start_.run));
  validation_data_ = validation_stream(start_.run, start_.run.training.seq_length);
}

void Trainer::build(const RankLayout& layout, const MakeStepObserver& observe) {
  batch_ = batch_ramp(start_.run, world_.size());
  engine_ =
      std::make_unique<Engine>(world_, layout, make_backend(start_.settings, world_, layout.host_bytes()));
  optimizer_ =
      std::make_unique<Optimizer>(make_optimizer(start_.run.optimizer, *engine_, start_.run.training.seed));
  optimizer_->set_updates(counters_.updates);
  if (observe) observer_ = observe(world_, *engine_, start_.run, start_.settings);
  if (save_folder_) saver_ = std::make_unique<Saver>(*save_folder_, *saving_, start_.run.training.keep);

  if (start_.checkpoint) {
    load_weights(engine_->store(), engine_->backend(), *start_.checkpoint);
    if (!start_.moments_begin_anew) load_moments(engine_->store(), engine_->backend(), *start_.checkpoint);
  } else if (start_.initial_weights) {
    load_weights(engine_->store(), engine_->backend(), *start_.initial_weights);
  } else {
    initialize(engine_->store(), engine_->backend(), static_cast<std::uint64_t>(start_.run.training.seed),
               start_.settings.threads);
  }

  const DevicePeak peak = peak_of_all(*control_, start_.settings);
  mfu_ = {model_flops_per_token(layout.request.model, start_.run.training.seq_length), peak.flops,
          peak.source,
          trained_parameter_count(layout.request.model) == parameter_count(layout.request.model)};
}

void Trainer::open_metrics() {
  const TrainingConfig& training = start_.run.training;
  progress_ = std::make_unique<ProgressLog>(training.train_iters, training.log_interval);
  if (world_.rank() == 0) {
    const bool saves = !training.save.empty();
    const Path file = !training.metrics_file.empty() ? Path(training.metrics_file)
                      : saves                        ? Path(training.save) / "metrics.jsonl"
                                                     : Path();
    const Path folder = !training.tensorboard_dir.empty() ? Path(training.tensorboard_dir)
                        : saves                           ? Path(training.save) / "tensorboard"
                                                          : Path();
    if (!file.empty()) metrics_file_ = std::make_unique<MetricsFile>(file);
    if (!folder.empty()) tensorboard_ = std::make_unique<TensorBoardWriter>(folder, counters_.step + 1);
  }
  counters_.run = metrics_file_ ? metrics_file_->run() : counters_.run + 1;
  counters_.run = max_over(*control_, world_.rank() == 0 ? counters_.run : 0);
}

bool Trainer::stop_asked() {
  if (signal_ == 0) signal_ = static_cast<int>(max_over(*control_, signals::pending()));
  return signal_ != 0;
}

bool Trainer::time_is_up() const {
  const double limit = 60.0 * start_.run.training.exit_duration_in_mins;
  return world_.rank() == 0 && limit > 0.0 && since_start_.seconds() + last_step_seconds_ >= limit;
}

Batch Trainer::read_batch(std::int64_t first_sample, int micro_batch) const {
  const RankLayout& layout = engine_->layout();
  return make_batch(*training_data_, first_sample_of(layout, first_sample, micro_batch),
                    layout.request.batch.samples, documents_);
}

double Trainer::targets_of_step(std::int64_t first_sample, int micro_batches,
                                const std::vector<Batch>& read) const {
  const RankLayout& layout = engine_->layout();
  if (!documents_.eod_mask_loss)
    return static_cast<double>(micro_batches * samples_of_round(layout) * start_.run.training.seq_length);
  std::int64_t targets = 0;
  for (const Batch& batch : read) targets += batch.unmasked_targets();
  targets = sum_over(engine_->data_group(), targets);
  if (targets == 0)
    throw UserError("the global batch at sample {} has no target that is not masked", first_sample);
  return static_cast<double>(targets);
}

StepMetrics Trainer::step() {
  const Stopwatch watch;
  const std::int64_t number = counters_.step + 1, first_sample = counters_.samples;
  const double rate = learning_rate(start_.run.optimizer, start_.run.training.train_iters, number);
  const RandomKey dropout =
      derive(derive(RandomKey{static_cast<std::uint64_t>(start_.run.training.seed)}, "dropout"),
             static_cast<std::uint64_t>(number));
  // The ranks agree on whether any was told to stop and whether time is up, while the step computes.
  stop_ = {signals::pending(), time_is_up() ? 1 : 0};
  const Event stop_agreed = control_->all_reduce(TensorView(stop_.data(), DType::i32, {2}), ReduceOp::max);

  const RankLayout& layout = engine_->layout();
  const std::int64_t batch = batch_->batch_after(first_sample),
                     tokens = batch * start_.run.training.seq_length;
  const LoweredSchedule& schedule = layout.schedules->of(batch / samples_of_round(layout));
  const bool observed = observer_ && batch == batch_->full();
  const int micro_batches = schedule.source.micro_batches;
  // Where labels are masked their number must be known before the first forward, so that all are read before
  // it, and not again.
  std::vector<Batch> read;
  for (int m = 0; documents_.eod_mask_loss && m < micro_batches; ++m)
    read.push_back(read_batch(first_sample, m));
  const double targets = targets_of_step(first_sample, micro_batches, read);
  auto [scalars, times] = training_step(
      *engine_, *optimizer_, schedule, rate, targets,
      [&](int m) {
        return read.empty() ? read_batch(first_sample, m) : std::move(read[static_cast<std::size_t>(m)]);
      },
      dropout, observed ? observer_->next() : nullptr);
  stop_agreed.wait();
  signal_ = std::max(signal_, static_cast<int>(stop_[0]));
  time_is_up_ = stop_[1] != 0;

  StepMetrics metrics;
  metrics.applied = at(scalars, StepScalar::apply) != 0.0;
  counters_.step = number;
  counters_.samples += batch;
  counters_.tokens += tokens;
  counters_.updates = optimizer_->updates();
  counters_.skipped += metrics.applied ? 0 : 1;
  counters_.bad_in_a_row = metrics.applied ? 0 : counters_.bad_in_a_row + 1;

  metrics.step = number;
  metrics.loss = at(scalars, StepScalar::loss_sum) / targets;
  metrics.grad_norm = std::sqrt(at(scalars, StepScalar::norm_squared));
  metrics.lr = rate;
  metrics.tokens = counters_.tokens;
  metrics.samples = counters_.samples;
  metrics.global_batch = batch;
  metrics.skipped = counters_.skipped;
  metrics.clip_factor = at(scalars, StepScalar::clip_factor);
  metrics.waiting_ms = times.execution.waiting * 1e3;
  const double seconds = last_step_seconds_ = watch.seconds();
  metrics.elapsed_ms = seconds * 1e3;
  metrics.tokens_per_second = static_cast<double>(tokens) / seconds;
  metrics.mfu = mfu_.mfu(metrics.tokens_per_second);
  observed_ = observed ? observer_->add(times) : std::nullopt;
  return metrics;
}

void Trainer::log_step(const StepMetrics& metrics) {
  if (metrics_file_) metrics_file_->write(metrics);
  if (tensorboard_) tensorboard_->add(metrics);
  if (const auto line = progress_->add(metrics)) {
    if (out_ != nullptr) *out_ << *line << std::endl;
    if (tensorboard_) tensorboard_->flush();
  }
  if (observed_ && out_ != nullptr) *out_ << *observed_ << std::flush;
  if (counters_.bad_in_a_row >= start_.run.training.max_bad_steps)
    throw UserError(
        "loss or gradient norm was not finite in {} steps in a row up to step {} (training.max_bad_steps); "
        "where it began: "
        "{}; a lower optimizer.lr or a longer warm-up may help",
        counters_.bad_in_a_row, counters_.step, locate_not_finite(*engine_));
}

void Trainer::check_weight_copies() {
  const std::int64_t tensors = check_replicas(*engine_, counters_.step);
  if (out_ != nullptr)
    *out_ << fmt::format(
                 " after step {}: copies of weights are the same bits (tensors held by several ranks: {})",
                 counters_.step, tensors)
          << std::endl;
}

void Trainer::evaluate() {
  counters_.evaluation_due = 1;
  if (signal_ != 0) return;
  const Evaluation result =
      headwater::evaluate(*engine_, *validation_data_, documents_,
                          start_.run.training.eval_iters * batch_->full(), [this] { return stop_asked(); });
  if (result.stopped) return;
  counters_.evaluation_due = 0;
  EvaluationMetrics metrics;
  metrics.step = counters_.step;
  metrics.validation_loss = result.loss();
  metrics.validation_tokens = static_cast<std::int64_t>(result.targets);
  metrics.tokens = counters_.tokens;
  if (metrics_file_) metrics_file_->write(metrics);
  if (tensorboard_) {
    tensorboard_->add(metrics);
    tensorboard_->flush();
  }
  if (out_ != nullptr)
    *out_ << fmt::format(" validation after step {}: loss {:.6f}, perplexity {:.4g}, {} tokens", metrics.step,
                         metrics.validation_loss, metrics.validation_perplexity(), metrics.validation_tokens)
          << std::endl;
}

void Trainer::save() {
  SaveHeader header;
  header.config = start_.run;
  header.model = start_.run.model;
  header.parallel = engine_->layout().request.parallel;
  header.data_parallel_size = engine_->layout().grid.size(Axis::data);
  header.dtype = start_.settings.dtype;
  header.threads = start_.settings.threads;
  header.cublaslt = matmul_library_version(start_.settings.device);
  header.counters = counters_;
  // Until new weights have been gathered, their memory holds anything.
  engine_->store().wait_for_weights(engine_->backend());
  saver_->stage(StateToSave(engine_->store(), engine_->backend()).tensors());
  saver_->commit(header);
  if (out_ != nullptr)
    *out_ << fmt::format(" saved {}", save_folder_->checkpoint(counters_.step).string()) << std::endl;
}

int Trainer::run() {
  const TrainingConfig& training = start_.run.training;
  const std::string devices = device_table(world_, *control_, start_.settings.device);
  if (out_ != nullptr) {
    *out_ << devices << describe_run(start_, engine_->layout(), world_.size(), *training_data_)
          << mfu_.statement() << "\n";
    if (const std::string said = observer_ ? observer_->announcement() : ""; !said.empty())
      *out_ << said << "\n";
    out_->flush();
  }
  const auto due = [&](std::int64_t interval) { return interval > 0 && counters_.step % interval == 0; };
  bool last = counters_.step >= training.train_iters;
  if (last)
    log::info("nothing to do: step {} of training.train_iters {} is done", counters_.step,
              training.train_iters);
  if (validation_data_ && (!start_.checkpoint || counters_.evaluation_due == 1)) evaluate();

  while (!last && signal_ == 0) {
    log_step(step());
    if (due(training.check_weight_hash_across_dp_replicas_interval)) check_weight_copies();
    last = counters_.step >= training.train_iters;
    if (validation_data_ && (last || due(training.eval_interval))) evaluate();
    if (signal_ != 0) break;
    const bool leave = due(training.exit_interval) || time_is_up_;
    if (saver_ && (last || leave || due(training.save_interval))) save();
    if (time_is_up_ && !last && out_ != nullptr)
      *out_ << fmt::format(" stopped after step {}: training.exit_duration_in_mins is {}", counters_.step,
                           training.exit_duration_in_mins)
            << std::endl;
    if (leave) break;
  }
  engine_->store().wait_for_weights(engine_->backend());
  return signal_ == 0 ? 0 : stop();
}

// A signal that comes because another rank was lost must not start a save, which would wait for that rank.
int Trainer::stop() {
  if (!saver_) return 128 + signal_;
  if (!world_.peers_alive(kPeersAliveSeconds))
    throw CommError("a signal came, but not every rank answers: nothing was saved after step {}",
                    counters_.step);
  save();
  if (out_ != nullptr)
    *out_ << fmt::format(" stopped by signal {} after step {}", signal_, counters_.step) << std::endl;
  return 75;
}

}  // namespace headwater
