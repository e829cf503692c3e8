#pragma once
// The loss on held-out data without dropout: the mean over all unmasked targets of a stream's first samples.

#include "headwater/train/engine.h"

#include <functional>

namespace headwater {

struct Evaluation {
  double loss_sum = 0.0;
  double targets = 0.0;
  bool stopped = false;  // `stop` ended it, so that the sums are incomplete
  double loss() const { return loss_sum / targets; }
};

// Plays the engine's evaluation program on the first `samples` samples, or on all of one epoch where that is
// 0. The last batch is filled up with masked samples. `stop` is called before each batch, and must give the
// same on every rank. Collective; the result is the same on all ranks.
Evaluation evaluate(Engine& engine, const SampleStream& stream, const DocumentOptions& documents,
                    std::int64_t samples, const std::function<bool()>& stop = {});

// Which global samples micro-batch `micro_batch` of replica `replica` takes in a batch that starts at
// `first`: the first of them; replicas take turns.
std::int64_t first_sample_of(const RankLayout& layout, std::int64_t first, int micro_batch);
std::int64_t samples_of_round(const RankLayout& layout);  // of one micro-batch of every replica

}  // namespace headwater
