#pragma once
// The figures of a training step and of an evaluation, and metrics.jsonl, the file that they are written to.
//
// docs/formats/metrics.md specifies the file. Rank 0 alone holds a MetricsFile; used by one thread. Errors of
// the disk are thrown, and no line that was written before is lost by them, nor by a kill.

#include "headwater/base/file.h"

#include <cstdint>
#include <optional>
#include <string>

namespace headwater {

struct StepMetrics {
  std::int64_t step = 0;           // from 1
  double loss = 0.0;               // mean over the unmasked targets of the global batch, before the update
  double grad_norm = 0.0;          // before clipping
  double lr = 0.0;                 // learning rate of this step
  std::int64_t tokens = 0;         // since the start of training
  std::int64_t samples = 0;        // since the start of training
  std::int64_t global_batch = 0;   // samples of this step
  double elapsed_ms = 0.0;         // wall time of the step: no evaluation, no saving
  double tokens_per_second = 0.0;  // of all ranks together
  std::optional<double> mfu;       // share of the peak; none where no peak is known
  bool applied = true;             // false: loss or norm was not finite, the weights stayed as they were
  std::int64_t skipped = 0;        // steps since the start of training that were not applied
  double clip_factor = 1.0;        // what clipping multiplied the gradients by
  double waiting_ms = 0.0;         // of elapsed_ms: rank 0 waited for other ranks
};

struct EvaluationMetrics {
  std::int64_t step = 0;  // steps done before it; 0: before training
  double validation_loss = 0.0;
  std::int64_t validation_tokens = 0;  // unmasked targets that the loss is the mean of
  std::int64_t tokens = 0;             // trained on since the start of training
  double validation_perplexity() const;
};

// The numbers of which MFU is computed: MFU = model FLOPs per token × tokens per second / peak.
struct MfuBasis {
  double model_flops_per_token = 0.0;  // of a training step (nn/flops.h)
  std::optional<double> peak_flops;    // FLOP/s of all devices together
  std::string peak_source;  // how the peak is known ("measured with oneDNN, bf16"), or which device has none
  bool all_trained = true;  // whether model FLOPs have every weight gradient

  std::optional<double> mfu(double tokens_per_second) const;
  std::string statement() const;  // one line for people: the formula and its numbers
};

// metrics.jsonl, opened at its end. One object a line; each line is handed to the system before write()
// returns.
class MetricsFile {
 public:
  // Makes the folders; removes a torn last line, with a warning; goes on with `run` one higher than the
  // file's last. UserError where PATH holds something else than metrics.
  explicit MetricsFile(const Path& path);

  std::int64_t run() const { return run_; }
  void write(const StepMetrics& step);
  void write(const EvaluationMetrics& evaluation);

 private:
  OutputFile out_;
  std::int64_t run_ = 0;
};

}  // namespace headwater
