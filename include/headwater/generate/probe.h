#pragma once
// Makes one forward, or one forward and backward, of a given batch, without dropout and under any layout, for
// the commands `logits` and `gradients`. Collective; results are whole on every rank.

#include "headwater/checkpoint/weight_source.h"
#include "headwater/comm/world.h"
#include "headwater/data/batch.h"
#include "headwater/train/run_setup.h"

#include <map>
#include <string>
#include <vector>

namespace headwater {

struct ProbeBatch {
  std::int64_t samples = 0, sequence = 0;    // B, S
  std::vector<std::int32_t> tokens, labels;  // [B·S]; labels empty for logits, negative where masked
};

// Reads the integer tensors `tokens` and, where `with_labels`, `labels`, both [B, S], from a safetensors
// file. UserError where they are missing or wrong.
ProbeBatch read_probe_batch(const std::string& path, bool with_labels, std::int64_t vocabulary);

// Returns the logits, fp32 [B, S, V], V without padding.
std::vector<float> probe_logits(World& world, const RunConfig& run, const WeightSource& weights,
                                const RunSettings& settings, const ProbeBatch& batch,
                                const DocumentOptions& documents);

struct ProbeGradients {
  double loss = 0.0;
  std::map<std::string, std::vector<float>> gradients;  // by canonical name, in the canonical shape
};
ProbeGradients probe_gradients(World& world, const RunConfig& run, const WeightSource& weights,
                               const RunSettings& settings, const ProbeBatch& batch,
                               const DocumentOptions& documents);

}  // namespace headwater
