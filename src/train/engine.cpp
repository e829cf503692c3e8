#include "headwater/train/engine.h"

#include "headwater/base/clock.h"
#include "headwater/base/log.h"
#include "headwater/tensor/profile_range.h"

#include <algorithm>
#include <exception>

namespace headwater {
namespace {

// Where the filter is cut by tokens, each tensor rank sends the vectors of its last token to the next rank,
// and gets their gradients back.
Traffic tensor_traffic(const Sharding& sharding) {
  Traffic traffic{.collectives = Traffic::Collectives::awaited, .messages = {}};
  if (sharding.filter_by_tokens())
    for (int rank = 0; rank + 1 < sharding.tensor; ++rank)
      traffic.messages.insert({{rank, rank + 1}, {rank + 1, rank}});
  return traffic;
}

// Activations go from each virtual stage to the next, gradients back.
Traffic pipeline_traffic(const Placement& placement, bool training) {
  Traffic traffic{.collectives = Traffic::Collectives::none, .messages = {}};
  for (int stage = 0; stage + 1 < placement.stages(); ++stage) {
    const int from = placement.rank_of(stage), to = placement.rank_of(stage + 1);
    if (from == to) continue;
    traffic.messages.insert({from, to});
    if (training) traffic.messages.insert({to, from});
  }
  return traffic;
}

const char* word_of(const Instruction& i) {
  switch (i.kind) {
    case Instruction::Kind::start_send: return "start send";
    case Instruction::Kind::wait_send: return "wait send";
    case Instruction::Kind::start_receive: return "start receive";
    case Instruction::Kind::wait_receive: return "wait receive";
    case Instruction::Kind::compute: break;
  }
  switch (i.action.kind) {
    case ActionKind::forward: return "forward";
    case ActionKind::backward: return "backward";
    case ActionKind::input_gradient: return "input gradient";
    case ActionKind::weight_gradient: break;
  }
  return "weight gradient";
}

}  // namespace

// The state of one program under way.
struct Engine::Execution {
  const LoweredSchedule& schedule;
  HeadMode mode;
  const BatchSource& batches;
  RandomKey dropout_seed;
  const UnitHook& complete;
  bool recorded;
  std::map<int, int> micro_batches;  // by unit: how many have added their gradients
  // The unfinished transfers of this rank, by direction and what they carry.
  std::map<std::tuple<bool, Payload, int, int>, Event> transfers;
  struct ReadBatch {
    Batch batch;
    std::size_t chunks = 0;  // that have taken it
  };
  std::map<int, ReadBatch> read;  // by micro-batch: those that a chunk of this rank has still to take
  ExecutionTimes times;

  Event& transfer(bool send, const Transfer& t) {
    return transfers[{send, t.payload, t.micro_batch, t.from_stage}];
  }
};

Engine::Engine(World& world, const RankLayout& layout, std::unique_ptr<Backend> backend)
    : ranks_(world), layout_(layout), backend_(std::move(backend)), arena_(backend_->device()) {
  for (const SegmentSize& segment : layout_.segments) arena_.reserve(segment.name, segment.bytes);

  const RankLayoutRequest& request = layout_.request;
  const ModelSpec& model = request.model;
  const Precision precision = request.precision;
  const Shape stream{layout_.sharding.local_tokens(request.batch.tokens()), model.hidden};
  const auto bytes = [](std::int64_t count) { return Shape{count / 4}; };

  memory_.constants = take_constants(unit_constants(model, layout_.memory), arena_, *backend_);
  memory_.scalars = arena_.take("constants", DType::f64, {kStepScalars});

  if (request.training)
    for (TensorView& gradient : memory_.stream_gradient)
      gradient = arena_.take("workspace", precision.compute, stream);
  backend_->use_workspace(arena_.take("workspace", DType::i32, bytes(aligned(layout_.memory.op_workspace))));
  memory_.scratch = arena_.take("workspace", DType::i32, bytes(scratch_bytes(model, layout_.memory)));

  const ProcessGrid& grid = layout_.grid;
  const Device device = backend_->device();
  const auto group = [&](const char* name, AxisSet axes, const Traffic& traffic = {}) {
    return world.device_group(name, grid.group(layout_.rank, axes), device, traffic);
  };
  const Traffic scalars{.collectives = Traffic::Collectives::scalars, .messages = {}};
  world_ = group("world", kAllAxes, scalars);
  tensor_ = group("tensor", kTensorAxes, tensor_traffic(layout_.sharding));
  data_ = world.group("data", grid.group(layout_.rank, {Axis::context, Axis::data}));
  pipeline_ = group("pipeline", {Axis::pipeline}, pipeline_traffic(layout_.placement, request.training));
  loss_ = group("loss", {Axis::context, Axis::data, Axis::pipeline}, scalars);
  if (request.training)
    for (const AxisSet axes : layout_.parameters.sum_axes())
      reductions_.emplace(axes, group("gradients", axes));

  store_ = std::make_unique<ParameterStore>(layout_.parameters, arena_, precision, request.training);
  for (std::size_t chunk = 0; chunk < layout_.chunks.size(); ++chunk) {
    const StageOptions options{
        layout_.memory.sharding, request.batch, precision, layout_.memory.chunks[chunk].slots,
        request.training,        request.device};
    stages_.emplace_back(model, layout_.chunks[chunk], options, *store_, arena_, *backend_, memory_,
                         TensorRanks(*tensor_, layout_.sharding));
    const RankProgram::Buffers& counts = layout_.buffers[chunk];
    const auto take = [&](int count) {
      std::vector<TensorView> views;
      for (int i = 0; i < count; ++i)
        views.push_back(arena_.take("communication", precision.compute, stream));
      return views;
    };
    buffers_.push_back({take(counts.send_activation), take(counts.send_gradient),
                        take(counts.receive_activation), take(counts.receive_gradient)});
  }
  for (const Bucket& bucket : layout_.parameters.buckets())
    if (request.training && bucket.tied_across_stages)
      tied_buffer_ =
          arena_.take("communication", precision.accumulate, {layout_.parameters.shard(bucket).size()});

  const std::vector<int> stages = grid.group(layout_.rank, {Axis::pipeline});
  const int first = layout_.placement.rank_of(0),
            last = layout_.placement.rank_of(layout_.placement.stages() - 1);
  if (std::ranges::any_of(layout_.parameters.buckets(), &Bucket::tied_across_stages))
    tied_ = world.device_group(
        "tied embedding", {stages[static_cast<std::size_t>(first)], stages[static_cast<std::size_t>(last)]},
        device, {.collectives = Traffic::Collectives::none, .messages = {{0, 1}, {1, 0}}});
}

Engine::~Engine() {
  bool failing = std::uncaught_exceptions() > 0;
  try {
    if (!failing) store_->wait_for_weights(*backend_);
  } catch (const Error& error) {
    log::error("{}", error.what());
    failing = true;
  }
  if (failing && !ranks_.abandon()) arena_.leak();
}

bool Engine::has_head() const {
  for (const StageUnits& units : layout_.chunks)
    if (units.has_head) return true;
  return false;
}

TensorView& Engine::buffer(int chunk, Payload payload, bool send, int index) {
  Buffers& buffers = buffers_[static_cast<std::size_t>(chunk)];
  std::vector<TensorView>& views = payload == Payload::activation
                                       ? (send ? buffers.send_activation : buffers.receive_activation)
                                       : (send ? buffers.send_gradient : buffers.receive_gradient);
  return views.at(static_cast<std::size_t>(index));
}

void Engine::fill(MicroBatch& to, const Batch& from, RandomKey dropout_seed) {
  // Copies what the stage reads.
  const auto copy = [&](const std::vector<std::int32_t>& host, TensorView device) {
    if (!device) return;
    HW_CHECK(static_cast<std::int64_t>(host.size()) == device.elements(), "a batch of {} values for {}",
             host.size(), to_string(device.shape));
    backend_->to_device(TensorView(const_cast<std::int32_t*>(host.data()), DType::i32, device.shape), device);
  };
  copy(from.tokens, to.tokens);
  copy(from.labels, to.labels);
  copy(from.position, to.position);
  copy(from.attention_start, to.attention_start);
  copy(from.lfa_start, to.lfa_start);
  if (!to.dropout_keys) return;
  std::vector<std::int32_t> keys;
  for (std::int64_t sample = 0; sample < from.batch_size; ++sample) {
    const std::uint64_t key =
        derive(dropout_seed, static_cast<std::uint64_t>(from.first_sample + sample)).value;
    keys.push_back(static_cast<std::int32_t>(static_cast<std::uint32_t>(key)));
    keys.push_back(static_cast<std::int32_t>(static_cast<std::uint32_t>(key >> 32)));
  }
  copy(keys, to.dropout_keys);
}

void Engine::take_batch(Execution& execution, int micro_batch, MicroBatch& to) {
  const auto [found, is_new] = execution.read.try_emplace(micro_batch);
  Execution::ReadBatch& read = found->second;
  if (is_new) read.batch = execution.batches(micro_batch);
  fill(to, read.batch, execution.dropout_seed);
  if (++read.chunks == stages_.size()) execution.read.erase(found);
}

bool Engine::sums_travel() const {
  return tied_ ||
         std::ranges::any_of(reductions_, [](const auto& group) { return group.second->size() > 1; });
}

// Whether the pass may be replayed as one graph, which needs that nothing waits in the middle of it, and
// nobody for a part of it. A forward may wait for the weights of other ranks, unit by unit; sums of gradients
// begin unit by unit while the last micro-batch's backward goes on. Both halves of a backward get the same
// answer, because the first leaves its products to the second.
bool Engine::may_repeat(const Execution& execution, const Instruction& i, const StageUnits& units) const {
  if (execution.recorded || layout_.sharding.tensor > 1) return false;
  if (i.action.kind != ActionKind::forward)
    return !(execution.complete && sums_travel() &&
             i.action.micro_batch + 1 == execution.schedule.source.micro_batches);
  for (int unit = units.first; unit < units.last; ++unit)
    if (!store_->weights_arrived(unit)) return false;
  return true;
}

void Engine::compute(Execution& execution, const Instruction& i) {
  const Placement& placement = execution.schedule.source.placement;
  const int chunk = placement.chunk_of(i.action.stage);
  Stage& stage = stages_[static_cast<std::size_t>(chunk)];
  const auto added = [&execution](int unit) {
    if (++execution.micro_batches[unit] == execution.schedule.source.micro_batches && execution.complete)
      execution.complete(unit);
  };
  const bool forward = i.action.kind == ActionKind::forward;

  TensorView activation, gradient, output;
  if (i.activation >= 0) activation = buffer(chunk, Payload::activation, false, i.activation);
  if (i.gradient >= 0) gradient = buffer(chunk, Payload::gradient, false, i.gradient);
  if (const auto made = output_of(i.action, placement.stages())) {
    const bool here = placement.rank_of(made->to_stage) == layout_.pipeline_rank;
    output = buffer(here ? placement.chunk_of(made->to_stage) : chunk, made->payload, !here, i.output);
  }
  const auto pass = [&](const UnitHook& complete) {
    if (forward)
      stage.forward({i.slot, i.weight_slot}, activation, output, execution.mode);
    else if (i.action.kind == ActionKind::weight_gradient)
      stage.weight_gradient(i.delayed_slot, complete);
    else
      stage.backward({i.slot, i.weight_slot, i.delayed_slot}, activation, gradient, output, complete);
  };

  if (forward) {
    take_batch(execution, i.action.micro_batch, stage.micro_batch(i.slot));
    // Every weight was updated on this rank, so that there is no transfer to wait for.
    if (!store_->layout().sharded()) store_->wait_for_weights(*backend_);
  }
  if (!may_repeat(execution, i, stage.units())) return pass(added);
  const PassKey key(i.action.kind, execution.mode, chunk, i.slot, i.weight_slot, i.delayed_slot,
                    activation.data, gradient.data, output.data);
  Pass& known = passes_.try_emplace(key, Pass{passes_.size(), {}}).first->second;
  backend_->repeat(known.number, [&] {
    known.units.clear();
    pass([&](int unit) { known.units.push_back(unit); });
  });
  for (const int unit : known.units) added(unit);
}

ExecutionTimes Engine::execute(const LoweredSchedule& schedule, HeadMode mode, const BatchSource& batches,
                               RandomKey dropout_seed, const UnitHook& complete, Recording* recording) {
  Execution execution{schedule, mode, batches, dropout_seed, complete, recording != nullptr, {}, {}, {}, {}};
  const Placement& placement = schedule.source.placement;
  Queue& queue = backend_->queue();
  for (const Instruction& i : layout_.program(schedule).instructions) {
    const Stopwatch watch;
    const Transfer& t = i.transfer;
    const bool computes = i.kind == Instruction::Kind::compute;
    const ProfileRange range("{} m{} s{}", word_of(i), computes ? i.action.micro_batch : t.micro_batch,
                             computes ? i.action.stage : t.from_stage);
    const double begin = recording != nullptr ? recording->now() : 0.0, waited = waited_seconds();
    switch (i.kind) {
      case Instruction::Kind::compute: {
        compute(execution, i);
        const double tensor = waited_seconds() - waited;
        execution.times.tensor += tensor;
        execution.times.compute += watch.seconds() - tensor;
        if (recording != nullptr)
          recording->add(
              {span_kind(i.action.kind), i.action.micro_batch, i.action.stage, begin, recording->now()});
        break;
      }
      case Instruction::Kind::start_send:
        execution.transfer(true, t) = pipeline_->send(
            buffer(placement.chunk_of(t.from_stage), t.payload, true, t.buffer), t.peer, queue.record());
        break;
      case Instruction::Kind::start_receive:
        execution.transfer(false, t) = pipeline_->receive(
            buffer(placement.chunk_of(t.to_stage), t.payload, false, t.buffer), t.peer, queue.record());
        break;
      case Instruction::Kind::wait_send:
      case Instruction::Kind::wait_receive: {
        const bool send = i.kind == Instruction::Kind::wait_send;
        queue.wait(execution.transfer(send, t));
        execution.times.waiting += watch.seconds();
        if (recording != nullptr)
          recording->add(
              {SpanKind::wait, t.micro_batch, send ? t.from_stage : t.to_stage, begin, recording->now()});
        break;
      }
    }
  }
  return execution.times;
}

void Engine::logits(std::int64_t first_row, const LogitSink& sink) {
  // The one micro-batch has been in slot 0 and, where the stage receives its input, in buffer 0.
  for (std::size_t chunk = 0; chunk < stages_.size(); ++chunk) {
    const StageUnits& units = stages_[chunk].units();
    if (!units.has_head) continue;
    const TensorView input = units.has_embedding ? TensorView() : buffers_[chunk].receive_activation.at(0);
    stages_[chunk].logits({}, input, first_row, sink);
  }
}

}  // namespace headwater
