#include "headwater/train/trainer.h"

#include "headwater/backend/cpu_backend.h"
#include "headwater/base/clock.h"
#include "headwater/base/log.h"
#include "headwater/base/signals.h"
#include "headwater/checkpoint/model_difference.h"
#include "headwater/checkpoint/weight_source.h"
#include "headwater/config/config_changes.h"
#include "headwater/data/tokenizer.h"
#include "headwater/model/flops.h"
#include "headwater/nn/initialize.h"
#include "headwater/optim/learning_rate.h"
#include "headwater/train/not_finite.h"
#include "headwater/train/state_io.h"

#include <cmath>
#include <numeric>
#include <ostream>

namespace headwater {
namespace {

constexpr double kPeersAliveSeconds = 5.0;

std::vector<int> all_ranks(const World& world) {
  std::vector<int> ranks(static_cast<std::size_t>(world.size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

// Rank 0's text, on every rank.
std::string shared(Communicator& ranks, std::string text) {
  std::vector<std::byte> bytes(text.size());
  std::transform(text.begin(), text.end(), bytes.begin(), [](char c) { return static_cast<std::byte>(c); });
  broadcast_bytes(ranks, bytes, 0);
  std::string result(bytes.size(), ' ');
  std::transform(bytes.begin(), bytes.end(), result.begin(), [](std::byte b) { return static_cast<char>(b); });
  return result;
}

}  // namespace

Trainer::Trainer(World& world, const LoadedConfig& config, std::ostream* out)
    : world_(world), run_(config.run), model_given_(config.section_given("model")), out_(out) {
  world_.set_timeout(run_.training.comm_timeout_s);
  control_ = world_.group("control", all_ranks(world_));
  saving_ = world_.group("saving", all_ranks(world_));
  find_start();
  open_data();
  build();
  open_metrics();
}

Trainer::~Trainer() = default;

void Trainer::find_start() {
  const TrainingConfig& training = run_.training;
  std::string resume_from;
  if (!training.save.empty()) {
    save_folder_.emplace(Path(training.save));
    if (world_.rank() == 0) {
      lock_.emplace(save_folder_->claim());
      if (const std::optional<Path> newest = save_folder_->newest()) resume_from = newest->string();
    }
  }
  if (world_.rank() == 0 && resume_from.empty() && !training.load.empty())
    resume_from = find_checkpoint(training.load).string();
  resume_from = shared(*control_, resume_from);

  choices_ = choose(training, world_);
  if (!resume_from.empty()) {
    checkpoint_ = std::make_unique<Checkpoint>(resume_from);
    const SaveHeader& header = checkpoint_->manifest().header;
    if (training.dtype == "auto") choices_.dtype = header.dtype;
    choices_.threads = static_cast<int>(header.threads);
    counters_ = header.counters;
    model_ = header.model;
  } else if (!training.init_from.empty()) {
    initial_weights_ = open_weights(training.init_from);
    model_ = initial_weights_->model();
  }
  const bool from_elsewhere = checkpoint_ || initial_weights_;
  if (!from_elsewhere || model_given_) {
    const ModelConfig asked = resolved(run_.model, training.seq_length);
    if (from_elsewhere) {
      const std::string& source = checkpoint_ ? checkpoint_->description() : initial_weights_->description();
      if (const auto difference = model_difference(model_, asked, checkpoint_ ? Compare::all : Compare::weights))
        throw UserError("{} is of another model: {}", source, *difference);
    }
    model_ = asked;
  }
  run_.model = model_;
  validate(run_);
  if (checkpoint_) {
    for (const std::string& change : config_changes(checkpoint_->manifest().header.config, run_))
      log::info("changed since the checkpoint: {}", change);
    log::info("resuming from {} after step {}", checkpoint_->description(), counters_.step);
  }
}

void Trainer::open_data() {
  const DataConfig& data = run_.data;
  documents_ = {data.eod, data.reset_position_ids, data.reset_attention_mask, data.reset_lfa, data.eod_mask_loss};
  if (!data.tokenizer.empty()) {
    const std::unique_ptr<Tokenizer> tokenizer = make_tokenizer(data.tokenizer);
    if (tokenizer->vocab_size() > model_.vocab_size)
      throw UserError("data.tokenizer {} has {} tokens, more than model.vocab_size {}", data.tokenizer,
                      tokenizer->vocab_size(), model_.vocab_size);
    if (documents_.eod < 0) documents_.eod = tokenizer->eod();
  }
  const auto options = [&](const std::vector<WeightedPrefix>& prefixes, int part, bool shuffle) {
    SampleStreamOptions o;
    for (const WeightedPrefix& source : prefixes) o.sources.push_back({source.prefix, source.weight});
    if (!data.split.empty()) o.split = DatasetSplit{{data.split[0], data.split[1], data.split[2]}, part};
    o.seq_length = run_.training.seq_length;
    o.vocab_size = model_.vocab_size;
    o.seed = static_cast<std::uint64_t>(run_.training.seed);
    o.shuffle = shuffle;
    return o;
  };
  training_data_.emplace(options(data.train, 0, data.shuffle));
  if (!data.validation.empty())
    validation_data_.emplace(options(data.validation, 1, false));
  else if (!data.split.empty() && data.split[1] > 0.0 && run_.training.eval_interval > 0)
    validation_data_.emplace(options(data.train, 1, false));
}

void Trainer::build() {
  global_batch_ = global_batch_size(run_, world_.size());
  const RankLayoutRequest request = training_request(run_, model_, choices_, world_.size());
  const RankLayout layout(request, world_.rank(), world_.size());
  if (out_ != nullptr)
    *out_ << layout.stages.table(request.model, layout.placement, 0) << "\n\n" << memory_table(request, world_.size())
          << "\n" << std::endl;
  engine_ = std::make_unique<Engine>(world_, layout, make_cpu_backend({choices_.threads}));
  optimizer_ = std::make_unique<Optimizer>(
      run_.optimizer, engine_->store(), engine_->backend(),
      OptimizerGroups{engine_->data_group(), engine_->pipeline_group(), engine_->world_group(), engine_->tied_group()},
      engine_->scalars(), engine_->tied_buffer());
  optimizer_->set_updates(counters_.updates);
  if (save_folder_) saver_ = std::make_unique<Saver>(*save_folder_, *saving_, run_.training.keep);

  if (checkpoint_) {
    load_weights(engine_->store(), engine_->backend(), *checkpoint_);
    load_moments(engine_->store(), engine_->backend(), *checkpoint_);
  } else if (initial_weights_) {
    load_weights(engine_->store(), engine_->backend(), *initial_weights_);
  } else {
    initialize(engine_->store(), engine_->backend(), static_cast<std::uint64_t>(run_.training.seed), choices_.threads);
  }

  std::array<double, 1> peak = {measure_matmul_flops(request.precision.compute, choices_.threads)};
  control_->all_reduce(TensorView(peak.data(), DType::f64, {1}), ReduceOp::sum).wait();
  mfu_ = {model_flops_per_token(request.model, run_.training.seq_length), peak[0],
          fmt::format("measured with oneDNN, {}, all ranks", choices_.dtype)};
}

void Trainer::open_metrics() {
  const TrainingConfig& training = run_.training;
  progress_ = std::make_unique<ProgressLog>(training.train_iters, training.log_interval, global_batch_);
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

void Trainer::describe() const {
  if (out_ == nullptr) return;
  const RankLayout& layout = engine_->layout();
  *out_ << fmt::format("model: {} parameters, {} layers, hidden {}, vocabulary {}, LFA {}\n",
                       parameter_count(layout.request.model), model_.num_layers, model_.hidden_size, model_.vocab_size,
                       model_.lfa ? "on" : "off")
        << fmt::format("ranks: {} = {} pipeline stages x {} replicas, {} threads each, {} on the CPU\n", world_.size(),
                       layout.grid.size(Axis::pipeline), layout.grid.size(Axis::data), choices_.threads, choices_.dtype)
        << fmt::format("data: {} tokens, {} samples an epoch; a step takes {} samples of {} tokens\n",
                       training_data_->tokens(), training_data_->samples_per_epoch(), global_batch_,
                       run_.training.seq_length)
        << mfu_.statement() << std::endl;
}

bool Trainer::stop_asked() {
  if (signal_ == 0) signal_ = static_cast<int>(max_over(*control_, signals::pending()));
  return signal_ != 0;
}

double Trainer::targets_of_step(std::int64_t first_sample) const {
  if (!documents_.eod_mask_loss) return static_cast<double>(global_batch_ * run_.training.seq_length);
  std::int64_t targets = 0;
  const RankLayoutRequest& request = engine_->layout().request;
  for (int m = 0; m < request.micro_batches; ++m)
    targets += unmasked_targets(*training_data_, first_sample_of(engine_->layout(), first_sample, m),
                                request.batch.samples, documents_);
  targets = sum_over(engine_->data_group(), targets);
  if (targets == 0) throw UserError("the global batch at sample {} has no target that is not masked", first_sample);
  return static_cast<double>(targets);
}

StepMetrics Trainer::step() {
  const Stopwatch watch;
  const std::int64_t number = counters_.step + 1, first_sample = counters_.samples;
  const double rate = learning_rate(run_.optimizer, run_.training.train_iters, number);
  const RandomKey dropout = derive(derive(RandomKey{static_cast<std::uint64_t>(run_.training.seed)}, "dropout"),
                                   static_cast<std::uint64_t>(number));
  // Whether any rank was told to stop; the sum travels while the step computes.
  std::array<std::int32_t, 1> stop = {signals::pending()};
  const Event stop_agreed = control_->all_reduce(TensorView(stop.data(), DType::i32, {1}), ReduceOp::max);

  const double targets = targets_of_step(first_sample);
  optimizer_->begin_step(rate, targets);
  const PlayTimes times = engine_->play(
      engine_->layout().schedule, HeadMode::train,
      [&](int m) {
        return make_batch(*training_data_, first_sample_of(engine_->layout(), first_sample, m),
                          engine_->layout().request.batch.samples, documents_);
      },
      dropout);
  optimizer_->reduce();
  optimizer_->update();
  StepScalars scalars = optimizer_->read();
  stop_agreed.wait();
  signal_ = std::max(signal_, stop[0]);

  StepMetrics metrics;
  metrics.applied = at(scalars, StepScalar::apply) != 0.0;
  counters_.step = number;
  counters_.samples += global_batch_;
  counters_.tokens += global_batch_ * run_.training.seq_length;
  counters_.updates = optimizer_->updates();
  counters_.skipped += metrics.applied ? 0 : 1;
  counters_.bad_in_a_row = metrics.applied ? 0 : counters_.bad_in_a_row + 1;

  metrics.step = number;
  metrics.loss = at(scalars, StepScalar::loss_sum) / targets;
  metrics.grad_norm = std::sqrt(at(scalars, StepScalar::norm_squared));
  metrics.lr = rate;
  metrics.tokens = counters_.tokens;
  metrics.samples = counters_.samples;
  metrics.skipped = counters_.skipped;
  metrics.clip_factor = at(scalars, StepScalar::clip_factor);
  metrics.waiting_ms = times.waiting * 1e3;
  const double seconds = watch.seconds();
  metrics.elapsed_ms = seconds * 1e3;
  metrics.tokens_per_second = static_cast<double>(global_batch_ * run_.training.seq_length) / seconds;
  metrics.mfu = mfu_.mfu(metrics.tokens_per_second);
  return metrics;
}

void Trainer::judge(const StepMetrics& metrics) {
  if (metrics_file_) metrics_file_->write(metrics);
  if (tensorboard_) tensorboard_->add(metrics);
  if (const auto line = progress_->add(metrics)) {
    if (out_ != nullptr) *out_ << *line << std::endl;
    if (tensorboard_) tensorboard_->flush();
  }
  if (counters_.bad_in_a_row >= run_.training.max_bad_steps)
    throw UserError(
        "loss or gradient norm was not finite in {} steps in a row up to step {} (training.max_bad_steps); the first value "
        "that is not finite: {}; a lower optimizer.lr or a longer warm-up may help",
        counters_.bad_in_a_row, counters_.step, locate_not_finite(*engine_));
}

void Trainer::evaluate() {
  const Evaluation result = headwater::evaluate(*engine_, *validation_data_, documents_, run_.training.eval_iters,
                                                [this] { return stop_asked(); });
  if (result.stopped) return;
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
  header.config = run_;
  header.model = model_;
  header.parallel = run_.parallel;
  header.data_parallel_size = engine_->layout().grid.size(Axis::data);
  header.dtype = choices_.dtype;
  header.threads = choices_.threads;
  header.counters = counters_;
  saver_->stage(StateToSave(engine_->store(), engine_->backend(),
                            engine_->layout().grid.coordinate(world_.rank(), Axis::data) == 0)
                    .tensors());
  saver_->commit(header);
  if (out_ != nullptr)
    *out_ << fmt::format(" saved {}", save_folder_->checkpoint(counters_.step).string()) << std::endl;
}

int Trainer::run() {
  const TrainingConfig& training = run_.training;
  describe();
  const auto due = [&](std::int64_t interval) { return interval > 0 && counters_.step % interval == 0; };
  if (validation_data_ && !checkpoint_) evaluate();

  bool last = counters_.step >= training.train_iters;
  if (last) log::info("nothing to do: step {} of training.train_iters {} is done", counters_.step, training.train_iters);
  while (!last && signal_ == 0) {
    judge(step());
    last = counters_.step >= training.train_iters;
    if (signal_ == 0 && validation_data_ && (last || due(training.eval_interval))) evaluate();
    const bool leave = due(training.exit_interval);
    if (signal_ != 0) {
      if (!world_.peers_alive(kPeersAliveSeconds))
        throw CommError("a signal came, but not every rank answers: nothing was saved after step {}", counters_.step);
      break;
    }
    if (saver_ && (last || leave || due(training.save_interval))) save();
    if (leave) break;
  }
  if (signal_ == 0) return 0;
  if (!saver_) return 128 + signal_;
  save();
  if (out_ != nullptr) *out_ << fmt::format(" stopped by signal {} after step {}", signal_, counters_.step) << std::endl;
  return 75;
}

}  // namespace headwater
