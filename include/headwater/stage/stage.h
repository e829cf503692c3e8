#pragma once
// The blocks of one pipeline chunk: [embedding] layers… [head], on as many slots (micro-batches in flight) as
// the schedule needs (slot_memory.h). Input and output are the residual stream [T, H], of this rank's tokens
// where they are cut; where the embedding is here, input comes from the tokens; where the head is, the result
// is the loss.
//
// Takes its tensors from the arena (segments activations, workspace) as layout/arena_layout.h counts them.
// Belongs to the compute thread.

#include "headwater/nn/embedding.h"
#include "headwater/nn/head.h"
#include "headwater/nn/layer.h"
#include "headwater/stage/parameter_store.h"
#include "headwater/stage/slot_memory.h"

#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace headwater {

// The memory that the chunks of a rank share. One unit at a time uses the scratch.
struct StageMemory {
  std::map<std::string, TensorView> constants;  // by name (unit_description.h)
  TensorView scalars;                           // f64 [kStepScalars]
  // c [T, H], of this rank's tokens: the residual stream's gradient of odd and even layers (training)
  TensorView stream_gradient[2];
  TensorView scratch;  // i32 view of bytes
};

// The constants of one rank, filled, from the arena's segment of that name.
std::map<std::string, TensorView> take_constants(const std::vector<ConstantSpec>& specs, Arena& arena,
                                                 Backend& backend);

// By layer of the stage: its caches, by CacheId.
using LayerCaches = std::vector<std::vector<TensorView>>;

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

  // `input` is empty where the stage has the embedding, `out` where it has the head. The stage keeps no copy
  // of `input`: backward() reads it again. `caches` are those of its layers, in generation. Weights that are
  // still on their way are waited for unit by unit.
  void forward(const SlotNumbers& numbers, TensorView input, TensorView out, HeadMode mode,
               const LayerCaches* caches = nullptr);
  // `d_out` is empty where the stage has the head, `d_input` where it has the embedding. With a delayed slot
  // the products of the weights' gradients wait for weight_gradient(), which may read `d_out` again
  // (layout/arena_layout.h, weight_gradients_read_stream); those of embedding, norms, biases and head do not
  // wait.
  void backward(const SlotNumbers& numbers, TensorView input, TensorView d_out, TensorView d_input,
                const UnitHook& complete = {});
  void weight_gradient(int delayed_slot, const UnitHook& complete = {});
  // After forward(…, HeadMode::none), of the same input: the logits of rows from `first` on (head.h).
  void logits(const SlotNumbers& numbers, TensorView input, std::int64_t first, const LogitSink& sink);

 private:
  // By unit of the stage, by TensorId; found when a set of slots is used for the first time.
  using Tensors = std::vector<std::vector<TensorView>>;
  const Tensors& tensors(UnitPass pass, const SlotNumbers& numbers);
  UnitMemory memory_of(const UnitDescription& description) const;
  // The residual stream before layer `layer` of the stage, or before the head, which comes after the last:
  // the unit's own tensor, or `input` where that is the stage's.
  TensorView stream_before(std::size_t layer, int slot, const Tensors& tensors, TensorView input);
  BlockContext context(int unit, int slot, const Tensors& tensors, bool training,
                       DeferredProducts* products = nullptr);
  BlockContext layer_context(std::size_t layer, int slot, const Tensors& tensors, bool training,
                             DeferredProducts* products = nullptr) {
    return context(units_.first_layer() + static_cast<int>(layer), slot, tensors, training, products);
  }

  StageUnits units_;
  ParameterStore& store_;
  Backend& backend_;
  StageMemory memory_;
  TensorRanks ranks_;
  std::optional<Embedding> embedding_;
  std::vector<Layer> layers_;
  std::optional<Head> head_;
  std::vector<UnitMemory> unit_memory_;  // by unit of the stage
  SlotMemory slots_;
  std::map<std::pair<UnitPass, SlotNumbers>, Tensors> tensors_;
  DeferredProducts products_;              // of a backward taken whole
  std::vector<DeferredProducts> delayed_;  // per delayed slot
};

}  // namespace headwater
