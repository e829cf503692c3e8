#pragma once
// The blocks of one pipeline chunk: [embedding] layers… [head], on as many slots (micro-batches in flight) as
// the schedule needs (slot_memory.h). Input and output are the residual stream [T, H], of this rank's tokens
// where they are cut; where the embedding is here, input comes from the tokens; where the head is, the result
// is the loss.
//
// Takes its tensors from the arena (segments activations, workspace) as layout/arena_layout.h counts them.
// Belongs to the compute thread.

#include "headwater/nn/head.h"
#include "headwater/nn/layer.h"
#include "headwater/nn/slot_memory.h"

#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace headwater {

// What the chunks of a rank share; the workspace is used by one unit at a time.
struct StageMemory {
  TensorView rotary_table;  // a [positions, D/2, 2]
  TensorView scalars;       // f64 [kStepScalars]
  // c [T, H], of this rank's tokens: the residual stream's gradient of odd and even layers (training)
  TensorView stream_gradient[2];
  TensorView scratch;  // i32 view of bytes
};

// Hears of a unit of whose parameters all gradients of one micro-batch have been added.
using UnitHook = std::function<void(int unit)>;

// none: stop before the head (Stage::logits follows)
enum class HeadMode : std::uint8_t { train, evaluate, none };

class Stage {
 public:
  Stage(const ModelSpec& model, const StageUnits& units, const StageOptions& options, ParameterStore& store,
        Arena& arena, Backend& backend, const StageMemory& memory, const TensorRanks& ranks = {});

  const StageUnits& units() const { return units_; }
  MicroBatch& micro_batch(int slot) { return slots_.micro_batch(slot); }

  // `input` is empty where the stage has the embedding, `out` where it has the head. `caches`: one per layer
  // of the stage, in generation. Weights that are still on their way are waited for unit by unit.
  void forward(const SlotNumbers& numbers, TensorView input, TensorView out, HeadMode mode,
               std::vector<LayerCache>* caches = nullptr);
  // `d_out` is empty where the stage has the head, `d_input` where it has the embedding. With a delayed slot
  // the products of the weights' gradients wait for weight_gradient(); those of embedding, norms, biases and
  // head do not.
  void backward(const SlotNumbers& numbers, TensorView d_out, TensorView d_input,
                const UnitHook& complete = {});
  void weight_gradient(int delayed_slot, const UnitHook& complete = {});
  // After forward(…, HeadMode::none): the logits of rows from `first` on (head.h).
  void logits(const SlotNumbers& numbers, std::int64_t first, const LogitSink& sink);

 private:
  struct Tensors {
    TensorView embedded, d_embedded;  // of all tokens, where the residual stream has a part of them
    std::vector<Layer::Tensors> layers;
    std::optional<Head::Tensors> head;
  };
  // Found by name when a set of slots is used for the first time.
  const Tensors& tensors(UnitPass pass, const SlotNumbers& numbers);
  BlockContext context(int slot, bool dropout, DeferredProducts* products = nullptr) {
    return {backend_, slots_.micro_batch(slot), ranks_, dropout, nullptr, products};
  }

  StageUnits units_;
  ParameterStore& store_;
  Backend& backend_;
  StageMemory memory_;
  TensorRanks ranks_;
  TensorView embedding_, d_embedding_;
  std::vector<Layer> layers_;
  std::optional<Head> head_;
  SlotMemory slots_;
  std::map<std::pair<UnitPass, SlotNumbers>, Tensors> tensors_;
  DeferredProducts products_;              // of a backward taken whole
  std::vector<DeferredProducts> delayed_;  // per delayed slot
};

// Angles of RoPE with base `base`: row p holds (cos, sin) of p · base^(−2i/D) for i < D/2. Host memory, f32
// or f64.
void fill_rotary_table(TensorView host, double base);

}  // namespace headwater
