#pragma once
// Loss on held-out data, dropout off: the mean over all unmasked targets of the first samples of a stream.

#include "headwater/train/engine.h"

#include <functional>

namespace headwater {

struct Evaluation {
  double loss_sum = 0.0;
  double targets = 0.0;
  bool stopped = false;  // `stop` said so on some rank: incomplete
  double loss() const { return loss_sum / targets; }
};

// Plays the engine's evaluation program on the first `samples` samples (0: all of one epoch; the last batch
// is filled up with masked ones). Collective; the result is the same on all ranks. `stop` is asked before
// each batch, on every rank alike.
Evaluation evaluate(Engine& engine, const SampleStream& stream, const DocumentOptions& documents,
                    std::int64_t samples, const std::function<bool()>& stop = {});

// Which global samples micro-batch `micro_batch` of replica `replica` takes in a batch that starts at
// `first`: the first of them; replicas take turns.
std::int64_t first_sample_of(const RankLayout& layout, std::int64_t first, int micro_batch);
std::int64_t samples_of_round(const RankLayout& layout);  // of one micro-batch of every replica

}  // namespace headwater
