#pragma once
// One rank's machinery: its arena, backend, parameters, stages and communicators, made from a RankLayout. It
// plays this rank's program of a schedule on the micro-batches that it is given; it knows nothing of steps,
// data or files.
//
// Owned and called by the compute thread; every rank of the run calls the same functions in the same order.

#include "headwater/base/random.h"
#include "headwater/comm/world.h"
#include "headwater/data/batch.h"
#include "headwater/nn/stage.h"
#include "headwater/run/rank_layout.h"
#include "headwater/train/recording.h"

#include <functional>
#include <map>
#include <memory>
#include <tuple>

namespace headwater {

// The micro-batch of that number, on the host, as this replica reads it.
using BatchSource = std::function<Batch(int micro_batch)>;

// Seconds of a played program.
struct PlayTimes {
  double compute = 0.0;  // in blocks
  double tensor = 0.0;   // of blocks too: waiting for the ranks that share them
  double waiting = 0.0;  // for the neighbours' transfers
};

class Engine {
 public:
  Engine(World& world, const RankLayout& layout, std::unique_ptr<Backend> backend);
  // Waits for weights under way. While an exception is, lets go of all transfers before the arena goes.
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
  // Those that gradients are summed over: of ParameterLayout::sum_axes().
  Communicator& reduction_group(AxisSet axes) { return *reductions_.at(axes); }
  // those that add to the loss: one tensor rank of each stage and replica
  Communicator& loss_group() { return *loss_; }
  // both ends of the pipeline, where this rank is one of two
  Communicator* tied_group() { return tied_.get(); }
  bool has_head() const;
  double waited_seconds() const { return ranks_.waited_seconds(); }

  // `dropout_seed` keys the masks of this step, and `complete` hears of each unit whose last gradient of this
  // program has been added (training only). `recording` gets computes and waits.
  PlayTimes play(const LoweredSchedule& schedule, HeadMode mode, const BatchSource& batches,
                 RandomKey dropout_seed = {}, const UnitHook& complete = {}, Recording* recording = nullptr);
  // Logits of the micro-batch that the last play() of one micro-batch put through; only where the head is.
  void logits(std::int64_t first_row, const LogitSink& sink);

 private:
  struct Buffers {
    std::vector<TensorView> send_activation, send_gradient, receive_activation, receive_gradient;
  };
  struct Play;
  // What decides which ops a pass makes, and on which memory: kind, what the head does, chunk, slots, input,
  // output.
  using PassKey = std::tuple<ActionKind, HeadMode, int, int, int, int, const void*, const void*>;
  struct Pass {
    std::uint64_t number = 0;  // Backend::repeat's key
    std::vector<int> units;    // whose gradients it completes, in order
  };
  TensorView& buffer(int chunk, Payload payload, bool send, int index);
  void fill(MicroBatch& to, const Batch& from, RandomKey dropout_seed);
  void compute(Play& play, const Instruction& instruction);
  bool may_repeat(const Play& play, const Instruction& instruction, const StageUnits& units) const;
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
