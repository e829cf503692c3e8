#pragma once
// One rank's machinery: its arena, backend, parameters, stages and communicators, made from a RankLayout. It
// executes this rank's program of a schedule on the micro-batches that it is given; it knows nothing of
// steps, data or files.
//
// Owned and called by the compute thread; every rank of the run calls the same functions in the same order.

#include "headwater/base/random.h"
#include "headwater/comm/world.h"
#include "headwater/data/batch.h"
#include "headwater/run/rank_layout.h"
#include "headwater/stage/stage.h"
#include "headwater/train/recording.h"

#include <functional>
#include <map>
#include <memory>
#include <tuple>

namespace headwater {

// Gives this replica's micro-batch of that number, on the host. An engine asks once for each micro-batch of a
// program, however many chunks the rank has.
using BatchSource = std::function<Batch(int micro_batch)>;

// How a rank spent its seconds while it executed a program.
struct ExecutionTimes {
  double compute = 0.0;  // in blocks, without `tensor`
  double tensor = 0.0;   // in blocks, waiting for the ranks that share them
  double waiting = 0.0;  // waiting for transfers of other pipeline ranks
};

class Engine {
 public:
  Engine(World& world, const RankLayout& layout, std::unique_ptr<Backend> backend);
  // Waits for weights that are on their way. During an exception it gives up all transfers instead, before
  // the arena goes.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const RankLayout& layout() const { return layout_; }
  Backend& backend() { return *backend_; }
  ParameterStore& store() { return *store_; }
  const Arena& arena() const { return arena_; }
  TensorView scalars() const { return memory_.scalars; }
  TensorView tied_buffer() const { return tied_buffer_; }

  Communicator& world_group() { return *world_; }  // all ranks
  Communicator& data_group() { return *data_; }    // the replicas of this rank's parameters
  // The ranks over which gradients are summed along `axes`, which must be of ParameterLayout::sum_axes().
  Communicator& reduction_group(AxisSet axes) { return *reductions_.at(axes); }
  // The ranks that add to the loss: one tensor rank of each stage and replica.
  Communicator& loss_group() { return *loss_; }
  // Both ends of the pipeline, which share the tied embedding; null where this rank is not one of two, or the
  // embedding is not trained.
  Communicator* tied_group() { return tied_.get(); }
  bool has_head() const;
  double waited_seconds() const { return ranks_.waited_seconds(); }

  // Executes this rank's program of `schedule`. `dropout_seed` keys the masks of this step. `complete` is
  // called for each unit once its last gradient of this program has been added (training only). `recording`,
  // where it is not null, gets the spans of computes and waits.
  ExecutionTimes execute(const LoweredSchedule& schedule, HeadMode mode, const BatchSource& batches,
                         RandomKey dropout_seed = {}, const UnitHook& complete = {},
                         Recording* recording = nullptr);
  // Gives `sink` the logits of the micro-batch that the last execute() of one micro-batch put through. Does
  // nothing on a rank without the head.
  void logits(std::int64_t first_row, const LogitSink& sink);

 private:
  struct Buffers {
    std::vector<TensorView> send_activation, send_gradient, receive_activation, receive_gradient;
  };
  struct Execution;
  // Passes with the same key make the same ops on the same memory: kind of action, what the head does, chunk,
  // the three slots, the buffers with the stage's input and with the gradient of its output, and the buffer
  // that it fills.
  using PassKey = std::tuple<ActionKind, HeadMode, int, int, int, int, const void*, const void*, const void*>;
  struct Pass {
    std::uint64_t number = 0;  // Backend::repeat's key
    std::vector<int> units;    // the units whose gradients it adds, in order
  };
  TensorView& buffer(int chunk, Payload payload, bool send, int index);
  void fill(MicroBatch& to, const Batch& from, RandomKey dropout_seed);
  void take_batch(Execution& execution, int micro_batch, MicroBatch& to);
  void compute(Execution& execution, const Instruction& instruction);
  bool may_repeat(const Execution& execution, const Instruction& instruction, const StageUnits& units) const;
  bool sums_travel() const;

  World& ranks_;
  RankLayout layout_;
  std::unique_ptr<Backend> backend_;
  Arena arena_;
  StageMemory memory_;
  TensorView tied_buffer_;
  std::unique_ptr<ParameterStore> store_;
  std::vector<Stage> stages_;     // per chunk
  std::vector<Buffers> buffers_;  // per chunk
  std::unique_ptr<Communicator> world_, tensor_, data_, pipeline_, loss_, tied_;
  std::map<AxisSet, std::unique_ptr<Communicator>> reductions_;
  std::map<PassKey, Pass> passes_;
};

}  // namespace headwater
