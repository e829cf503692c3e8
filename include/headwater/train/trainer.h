#pragma once
// The training loop: resume or start, step, evaluate, save, stop.
//
// One per rank, on its compute thread. What is printed for people goes to `out`, which is null but on rank 0.

#include "headwater/base/clock.h"
#include "headwater/checkpoint/saver.h"
#include "headwater/data/sample_stream.h"
#include "headwater/optim/optimizer.h"
#include "headwater/run/global_batch.h"
#include "headwater/train/engine.h"
#include "headwater/train/evaluate.h"
#include "headwater/train/log/metrics.h"
#include "headwater/train/log/progress_log.h"
#include "headwater/train/log/tensorboard.h"
#include "headwater/train/run_start.h"
#include "headwater/train/step_observer.h"

#include <array>
#include <iosfwd>
#include <memory>
#include <optional>
#include <vector>

namespace headwater {

class Trainer {
 public:
  // Reads config, data, checkpoint or weights; allocates. `config` is as loaded, not yet validated. `observe`
  // may be empty; it is called once, before the weights are there.
  Trainer(World& world, const LoadedConfig& config, std::ostream* out, const MakeStepObserver& observe = {});
  ~Trainer();

  // Until train_iters, exit_interval, exit_duration_in_mins or a signal. Gives the exit code: 0, 75, or 128 +
  // the signal.
  int run();

 private:
  std::optional<Path> claim_save_folder();
  RankLayout lay_out() const;
  void open_data();
  void build(const RankLayout& layout, const MakeStepObserver& observe);
  void open_metrics();
  StepMetrics step();
  // This replica's micro-batch of the step that begins with `first_sample`.
  Batch read_batch(std::int64_t first_sample, int micro_batch) const;
  // Unmasked targets of a step of `micro_batches` micro-batches on each replica; `read` holds them where
  // labels are masked. Collective.
  double targets_of_step(std::int64_t first_sample, int micro_batches, const std::vector<Batch>& read) const;
  // Writes what a step measured. UserError after too many steps in a row that were not finite.
  void log_step(const StepMetrics& metrics);
  void check_weight_copies();
  void evaluate();
  void save();
  // Whether the step that begins now will use up exit_duration_in_mins; only rank 0 says so.
  bool time_is_up() const;
  bool stop_asked();  // whether a signal came to any rank; collective
  int stop();         // saves after a signal; returns the exit code

  World& world_;
  std::ostream* out_;
  std::unique_ptr<Communicator> control_, saving_;  // of all ranks
  std::optional<SaveFolder> save_folder_;
  std::optional<FileLock> lock_;  // rank 0
  RunStart start_;
  Counters counters_;

  DocumentOptions documents_;
  std::unique_ptr<Saver> saver_;
  std::optional<SampleStream> training_data_, validation_data_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<BatchRamp> batch_;
  Stopwatch since_start_;
  double last_step_seconds_ = 0.0;
  int signal_ = 0;
  bool time_is_up_ = false;  // on all ranks
  // {signal, time is up}, which all ranks agree on while a step computes. The engine must end before it does.
  std::array<std::int32_t, 2> stop_{};

  MfuBasis mfu_;
  std::unique_ptr<MetricsFile> metrics_file_;       // rank 0
  std::unique_ptr<TensorBoardWriter> tensorboard_;  // rank 0
  std::unique_ptr<ProgressLog> progress_;
  std::unique_ptr<StepObserver> observer_;  // null: nobody watches
  std::optional<std::string> observed_;     // what the observer said after the last step
};

}  // namespace headwater
