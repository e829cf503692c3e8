#pragma once
// The blocks of one pipeline chunk: [embedding] layers… [head], on as many slots (micro-batches in flight) as the schedule
// needs. Input and output are the residual stream [T, H]; where the embedding is here, input comes from the tokens; where
// the head is, the result is the loss.
//
// Takes its tensors from the arena (segments activations, workspace) as layout/arena_layout.h counts them. Belongs to the
// compute thread.

#include "headwater/nn/head.h"
#include "headwater/nn/layer.h"

#include <optional>
#include <vector>

namespace headwater {

// What the chunks of a rank share; the workspace is used by one unit at a time.
struct StageMemory {
  TensorView rotary_table;     // a [positions, D/2, 2]
  TensorView scalars;          // f64 [kStepScalars]
  TensorView stream_gradient[2];  // c [T, H]: the residual stream's gradient, taking turns (training)
  TensorView scratch;          // i32 view of bytes
};

struct StageOptions {
  Sharding sharding;
  BatchShape batch;
  Precision precision;
  int slots = 1;
  bool training = true;
};

enum class HeadMode : std::uint8_t { train, evaluate, none };  // none: stop before the head (Stage::logits follows)

class Stage {
 public:
  Stage(const ModelSpec& model, const StageUnits& units, const StageOptions& options, ParameterStore& store, Arena& arena,
        Backend& backend, const StageMemory& memory);

  const StageUnits& units() const { return units_; }
  MicroBatch& micro_batch(int slot) { return slots_[static_cast<std::size_t>(slot)].batch; }

  // `input` is empty where the stage has the embedding, `out` where it has the head. `caches`: one per layer of the stage,
  // in generation.
  void forward(int slot, TensorView input, TensorView out, HeadMode mode, std::vector<LayerCache>* caches = nullptr);
  // `d_out` is empty where the stage has the head, `d_input` where it has the embedding.
  void backward(int slot, TensorView d_out, TensorView d_input);
  // After forward(…, HeadMode::none): the logits of rows from `first` on (head.h).
  void logits(int slot, std::int64_t first, const std::function<void(std::int64_t row, TensorView block)>& sink);

 private:
  struct Slot {
    MicroBatch batch;
    std::vector<Layer::Tensors> layers;
    std::optional<Head::Tensors> head;
  };
  BlockContext context(const Slot& slot, bool dropout) {
    return {backend_, slot.batch, dropout, nullptr, &deferred_};
  }

  StageUnits units_;
  Backend& backend_;
  StageMemory memory_;
  TensorView embedding_, d_embedding_;
  std::vector<Layer> layers_;
  std::optional<Head> head_;
  std::vector<Slot> slots_;
  DeferredProducts deferred_;
};

// Angles of RoPE with base `base`: row p holds (cos, sin) of p · base^(−2i/D) for i < D/2. Host memory, f32 or f64.
void fill_rotary_table(TensorView host, double base);

}  // namespace headwater
