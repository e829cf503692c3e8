#pragma once
// How the ranks of one pipeline stage cut its tensors. What `parameters`, `activations` and the layouts of
// memory depend on beside the model; resolved once per run.

#include <cstdint>

namespace headwater {

// How LFA is cut where sequences are: its convolutions by channels, around which tokens are gathered; or by
// tokens, with whole weights and the vectors before a shard's first token from the neighbour on the left.
// Both are exact.
enum class LfaSharding : std::uint8_t { channels, tokens };

struct Sharding {
  std::int64_t tensor = 1;         // ranks of the tensor axis
  bool sequence_parallel = false;  // norms and residuals on 1/tensor of the tokens
  LfaSharding lfa = LfaSharding::channels;
  bool filter_by_tokens() const { return sequence_parallel && lfa == LfaSharding::tokens; }
  // Tokens on which a rank's norms and residuals work, of `tokens` of a micro-batch.
  std::int64_t local_tokens(std::int64_t tokens) const {
    return sequence_parallel ? tokens / tensor : tokens;
  }
  bool operator==(const Sharding&) const = default;
};

}  // namespace headwater
