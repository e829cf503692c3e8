#include "headwater/nn/unit_record.h"

#include "headwater/base/error.h"
#include "headwater/nn/embedding.h"
#include "headwater/nn/head.h"
#include "headwater/nn/layer.h"
#include "headwater/nn/model_units.h"
#include "headwater/tensor/arena.h"

#include <algorithm>
#include <utility>

namespace headwater {
namespace {

// Keeps what it is asked to compute.
class RecordingBackend final : public Backend {
 public:
  explicit RecordingBackend(Device::Kind kind) : device_{kind} {}

  void record_to(PassRecord& pass) { pass_ = &pass; }

  Device device() const override { return device_; }
  Queue& queue() override { return queue_; }
  void use_workspace(TensorView) override {}
  void to_device(TensorView, TensorView) override {
    throw InternalError("a recorded pass copies from the host");
  }
  void to_host(TensorView, TensorView) override { throw InternalError("a recorded pass copies to the host"); }

 private:
#define HEADWATER_RECORD(Op) \
  void compute(const op::Op& op) override { pass_->ops.emplace_back(op); }
  HEADWATER_OPS(HEADWATER_RECORD)
#undef HEADWATER_RECORD

  Device device_;
  CpuQueue queue_;
  PassRecord* pass_ = nullptr;
};

// Keeps what it is asked to exchange.
class RecordingCommunicator final : public Communicator {
 public:
  RecordingCommunicator(int rank, int size) : rank_(rank), size_(size) {}

  void record_to(PassRecord& pass) { pass_ = &pass; }

  const std::string& name() const override { return name_; }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  Event all_reduce(TensorView data, ReduceOp, Event) override {
    return add(Exchange::Kind::all_reduce, data);
  }
  Event reduce_scatter(TensorView in, TensorView, Event) override {
    return add(Exchange::Kind::reduce_scatter, in);
  }
  Event all_gather(TensorView, TensorView out, Event) override {
    return add(Exchange::Kind::all_gather, out);
  }
  Event send(TensorView data, int, Event) override { return add(Exchange::Kind::send, data); }
  Event receive(TensorView data, int, Event) override { return add(Exchange::Kind::receive, data); }
  Event broadcast(TensorView, int, Event) override { throw InternalError("a recorded pass broadcasts"); }
  Event all_to_all(TensorView, TensorView, Event) override {
    throw InternalError("a recorded pass sends from all to all");
  }

 private:
  Event add(Exchange::Kind kind, const TensorView& data) {
    pass_->exchanges.push_back({kind, static_cast<double>(data.bytes())});
    return {};
  }

  std::string name_ = "recorded";
  int rank_, size_;
  PassRecord* pass_ = nullptr;
};

// Hands out memory that does not exist.
class NoMemory {
 public:
  NoMemory(Device::Kind kind, UnitRecord& record) : device_{kind}, record_(record) {}

  TensorView take(const std::string& name, DType dtype, Shape shape) {
    const TensorView view(reinterpret_cast<void*>(next_), dtype, shape, device_);
    next_ += static_cast<std::uintptr_t>(aligned(static_cast<std::int64_t>(view.bytes()))) + kAlignment;
    record_.names.emplace(view.data, name);
    return view;
  }

 private:
  Device device_;
  UnitRecord& record_;
  std::uintptr_t next_ = kAlignment;
};

class Recorder {
 public:
  Recorder(const UnitSite& site, int rank, const UnitDescription& description)
      : site_(site),
        backend_(site.device),
        group_(rank, static_cast<int>(site.sharding.tensor)),
        memory_(site.device, record_) {
    if (site.sharding.tensor > 1) ranks_ = TensorRanks(group_, site.sharding);
    place_parameters(description);
    for (const ActivationSpec& spec : description.tensors())
      tensors_.push_back(memory_.take(spec.name, spec.dtype, spec.shape));
    for (const ConstantSpec& spec : description.constants())
      unit_.constants.push_back(memory_.take(spec.name, spec.dtype, spec.shape));
    const Shape tokens{site.batch.tokens()};
    const auto integers = [&](const char* name, Shape shape) {
      return memory_.take(name, DType::i32, shape);
    };
    batch_ = {site.batch,
              integers("tokens", tokens),
              integers("labels", tokens),
              integers("position", tokens),
              integers("attention_start", tokens),
              integers("lfa_start", tokens),
              integers("dropout_keys", {site.batch.samples, 2}),
              0};
    scalars_ = memory_.take("scalars", DType::f64, {kStepScalars});
    const Shape stream{site.sharding.local_tokens(site.batch.tokens()), site.model.hidden};
    for (TensorView& view : stream_) view = memory_.take("residual stream", site.precision.compute, stream);
  }

  BlockContext context(PassRecord& pass, DeferredProducts* deferred = nullptr) {
    backend_.record_to(pass);
    group_.record_to(pass);
    return {backend_, batch_, ranks_, unit_, tensors_, true, deferred};
  }
  TensorView tensor(TensorId id) const { return tensors_[static_cast<std::size_t>(id.index)]; }
  // The residual stream, or its gradient, on one of the unit's two sides.
  TensorView stream(int side) const { return stream_[side]; }
  TensorView scalars() const { return scalars_; }
  void drain(DeferredProducts& deferred) {
    backend_.record_to(record_.weight_gradient);
    deferred.drain(backend_);
  }
  UnitRecord& record() { return record_; }

 private:
  // Products read their parameters as one matrix; others see each by itself.
  void place_parameters(const UnitDescription& description) {
    const auto compute = site_.precision.compute, accumulate = site_.precision.accumulate;
    std::map<std::string, Shape> shapes;
    for (const ParameterSpec& spec : description.parameters()) {
      const Shape shape = parameter_shard(spec, site_.sharding, group_.rank()).local;
      shapes.emplace(spec.name, shape);
      unit_.weights.push_back(memory_.take(spec.name, compute, shape));
      unit_.gradients.push_back(spec.trained ? memory_.take(spec.name, accumulate, shape) : TensorView());
    }
    for (const ProductSpec& product : description.products()) {
      const Shape shape = matrix_of(product, description, shapes);
      unit_.products.push_back(
          {memory_.take(product.name, compute, shape),
           product.trained ? memory_.take(product.name, accumulate, shape) : TensorView()});
    }
  }

  Shape matrix_of(const ProductSpec& product, const UnitDescription& description,
                  const std::map<std::string, Shape>& shapes) const {
    if (!shapes.contains(product.first))  // a tied head's
      return {site_.model.padded_vocabulary(site_.sharding) / site_.sharding.tensor, site_.model.hidden};
    std::int64_t elements = 0, columns = 0;
    bool inside = false;
    for (const ParameterSpec& spec : description.parameters()) {
      inside |= spec.name == product.first;
      const Shape& shape = shapes.at(spec.name);
      if (inside) elements += shape.elements(), columns = shape[shape.rank() - 1];
      if (spec.name == product.last) break;
    }
    return {elements / columns, columns};
  }

  const UnitSite& site_;
  UnitRecord record_;
  RecordingBackend backend_;
  RecordingCommunicator group_;
  TensorRanks ranks_;
  NoMemory memory_;
  UnitMemory unit_;
  std::vector<TensorView> tensors_;
  MicroBatch batch_;
  TensorView scalars_, stream_[2];
};

UnitRecord record_embedding(const UnitSite& site, int rank) {
  const Embedding embedding(site);
  Recorder r(site, rank, embedding.description());
  embedding.forward(r.context(r.record().forward), r.stream(1));
  embedding.backward(r.context(r.record().input_gradient), r.stream(1));
  return std::move(r.record());
}

UnitRecord record_layer(const UnitSite& site, int rank) {
  const Layer layer(site);
  Recorder r(site, rank, layer.description());
  const TensorView input = r.tensor(layer.input());
  layer.forward(r.context(r.record().forward), input, r.stream(1));
  layer.recompute(r.context(r.record().recompute_selective), input, Recompute::selective);
  layer.recompute(r.context(r.record().recompute_full), input, Recompute::full);
  DeferredProducts deferred;
  layer.backward(r.context(r.record().input_gradient, &deferred), input, r.stream(1), r.stream(0));
  r.drain(deferred);
  return std::move(r.record());
}

UnitRecord record_head(const UnitSite& site, int rank) {
  const Head head(site);
  Recorder r(site, rank, head.description());
  const TensorView input = r.tensor(head.input());
  head.forward(r.context(r.record().forward), input, r.scalars());
  head.backward(r.context(r.record().input_gradient), input, r.stream(0));
  return std::move(r.record());
}

}  // namespace

const PassRecord& UnitRecord::recompute(Recompute how) const {
  HW_CHECK(how != Recompute::none, "nothing is recomputed");
  return how == Recompute::full ? recompute_full : recompute_selective;
}

UnitRecord record_unit(const UnitSite& site, int rank) {
  if (site.unit == site.model.embedding_unit()) return record_embedding(site, rank);
  if (site.unit == site.model.head_unit()) return record_head(site, rank);
  return record_layer(site, rank);
}

UnitRecord record_unit(const UnitSite& site) { return record_unit(site, site.sharding.tensor > 1 ? 1 : 0); }

UnitRecord record_update(std::int64_t elements, Precision precision) {
  UnitRecord record;
  NoMemory memory(Device::Kind::cpu, record);
  const auto sums = [&](const char* name) { return memory.take(name, precision.accumulate, {elements}); };
  op::AdamW adamw;
  adamw.master = sums("master");
  adamw.gradient = sums("gradient");
  adamw.first_moment = sums("first_moment");
  adamw.second_moment = sums("second_moment");
  adamw.weight = precision.compute == precision.accumulate
                     ? adamw.master
                     : memory.take("weight", precision.compute, {elements});
  adamw.scalars = memory.take("scalars", DType::f64, {kStepScalars});
  const TensorView sum = memory.take("sum", DType::f64, {1});
  record.forward.ops = {op::Zero{adamw.gradient}, op::AddSquaredNorm{.x = adamw.gradient, .sum = sum}, adamw};
  return record;
}

Flops flops_of(const PassRecord& pass) {
  Flops flops;
  for (const AnyOp& any : pass.ops) {
    const bool attention =
        std::holds_alternative<op::Attention>(any) || std::holds_alternative<op::AttentionBackward>(any);
    (attention ? flops.attention : flops.linear) += flops_of(any);
  }
  return flops;
}

namespace {

std::int64_t most_scratch(const PassRecord& pass, const op::Executor& executor) {
  std::int64_t bytes = 0;
  for (const AnyOp& any : pass.ops)
    with_op(any, [&](const auto& op) { bytes = std::max(bytes, op::scratch_of(op, executor)); });
  return bytes;
}

std::int64_t most_scratch(const UnitRecord& record, bool training, const op::Executor& executor) {
  std::int64_t bytes = most_scratch(record.forward, executor);
  if (training)
    for (const PassRecord* pass : {&record.recompute_selective, &record.recompute_full,
                                   &record.input_gradient, &record.weight_gradient})
      bytes = std::max(bytes, most_scratch(*pass, executor));
  return bytes;
}

}  // namespace

std::int64_t op_workspace_bytes(const UnitSite& site, bool training, int threads) {
  const op::Executor executor{site.device, threads};
  const ModelSpec& model = site.model;
  std::int64_t bytes = 0;
  if (training)
    bytes = most_scratch(record_update(trained_parameter_count(model), site.precision).forward, executor);
  for (const auto& [unit, alike] : model.distinct_units()) {
    UnitSite one = site;
    one.unit = unit;
    bytes = std::max(bytes, most_scratch(record_unit(one), training, executor));
  }
  return bytes;
}

}  // namespace headwater
