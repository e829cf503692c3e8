#pragma once
// Text generation on one rank. The prompt goes through at once, then one token after the other. Caches keep
// the keys and values of all tokens and, for LFA, the last normed input and the last output of the first
// convolution, so that each token is computed once. Belongs to one thread.

#include "headwater/checkpoint/weight_source.h"
#include "headwater/data/batch.h"
#include "headwater/stage/stage.h"
#include "headwater/train/run_setup.h"

#include <memory>
#include <span>
#include <vector>

namespace headwater {

class Generator {
 public:
  // Room for `max_tokens`, prompt and continuation together.
  Generator(const WeightSource& weights, const RunSettings& settings, std::int64_t max_tokens,
            const DocumentOptions& documents);

  // Appends tokens and gives the logits [V] of what follows the last of them. UserError for an id outside the
  // vocabulary.
  std::vector<float> feed(std::span<const std::int32_t> tokens);

 private:
  // The stage, and its memory, for one number of tokens at a time.
  struct Width {
    Width(Generator& owner, std::int64_t tokens);
    Arena arena;
    std::unique_ptr<Stage> stage;
    TensorView workspace;
  };
  MemoryRequest memory_request(std::int64_t tokens) const;
  void place_tokens(MicroBatch& batch, std::int64_t count);

  ModelSpec model_;
  Precision precision_;
  DocumentOptions documents_;
  int threads_;
  std::int64_t max_tokens_;
  std::unique_ptr<Backend> backend_;
  Arena arena_;
  std::unique_ptr<ParameterStore> store_;
  std::map<std::string, TensorView> constants_;
  LayerCaches caches_;
  std::unique_ptr<Width> single_;
  std::vector<std::int32_t> history_;
};

struct Sampling {
  double temperature = 0.0;  // 0: the most likely token
  std::int64_t top_k = 0;    // 0: all
  double top_p = 1.0;
  std::uint64_t seed = 1234;
};

// Draws token number `number` of a sequence from `logits`. The result depends on the arguments alone.
std::int32_t sample_token(std::span<const float> logits, const Sampling& sampling, std::int64_t number);

}  // namespace headwater
