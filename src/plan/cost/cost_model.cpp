#include "headwater/plan/cost/cost_model.h"

#include "headwater/base/error.h"
#include "headwater/layout/arena_layout.h"
#include "headwater/layout/parameter_bytes.h"
#include "headwater/nn/head.h"
#include "headwater/nn/model_units.h"

#include "attention_cost.h"

#include <algorithm>
#include <cmath>

namespace headwater {
namespace {

double size_of_type(DType dtype) { return static_cast<double>(size_of(dtype)); }

template <class Choose>
double bytes_of(const std::vector<ActivationSpec>& list, Choose choose) {
  double bytes = 0.0;
  for (const ActivationSpec& spec : list)
    if (choose(spec)) bytes += static_cast<double>(spec.shape.elements()) * size_of_type(spec.dtype);
  return bytes;
}

bool made_in_forward(const ActivationSpec& spec) { return spec.made == Pass::forward; }

// The input gradient moves the tensors that backward makes, and those that the forward kept for it.
bool of_input_gradient(const ActivationSpec& spec) {
  return spec.made == Pass::backward || spec.kept == Kept::until_input_gradient;
}

bool dropped_by_selective(const ActivationSpec& spec) {
  return made_in_forward(spec) && spec.dropped == Dropped::by_selective;
}

// Returns how many weights of the unit one of the `sharding.tensor` ranks holds.
double weights_of(const RankWork& work, int unit) {
  double weights = 0.0;
  for (const ParameterSpec& spec : parameters_of(work.model, unit, unit + 1, work.sharding)) {
    const double share = spec.split.dimension < 0 ? 1.0 : 1.0 / static_cast<double>(work.sharding.tensor);
    weights += static_cast<double>(spec.elements()) * share;
  }
  return weights;
}

}  // namespace

CostModel::CostModel(const RankWork& work, const EffectiveSpeed& device, const GroupNetwork& tensor)
    : work_(work), device_(device), tensor_(tensor) {
  const ModelSpec& model = work_.model;
  const int head_unit = model.head_unit();
  kind_.resize(static_cast<std::size_t>(model.units()));
  kinds_ = {{embedding()}, {head(weights_of(work_, head_unit))}};
  kind_.front() = 0;
  kind_.back() = 1;
  for (int unit = 1; unit < head_unit; ++unit) {
    std::size_t& kind = kind_[static_cast<std::size_t>(unit)];
    if (const int alike = model.first_alike(unit); alike != unit) {
      kind = kind_[static_cast<std::size_t>(alike)];
      continue;
    }
    kind = kinds_.size();
    const double weights = weights_of(work_, unit);
    auto& costs = kinds_.emplace_back();
    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full})
      costs.push_back(layer(unit, weights, recompute));
  }
}

double CostModel::product_seconds(double flops, double bytes) const {
  return std::max(flops / device_.product_flops, moved_seconds(bytes));
}

double CostModel::attention_seconds(const PassRecord& pass) const {
  double seconds = 0.0;
  for (const AnyOp& op : pass.ops) {
    const AttentionCost cost =
        device_.software.whole_scores ? whole_scores_cost(op) : fused_attention_cost(op);
    seconds += cost.flops / device_.product_flops + moved_seconds(cost.bytes);
  }
  return seconds;
}

UnitSite CostModel::site(int unit) const {
  return {.model = work_.model,
          .unit = unit,
          .sharding = work_.sharding,
          .batch = work_.batch,
          .precision = work_.precision,
          .device = work_.device};
}

double CostModel::stream_bytes() const {
  return static_cast<double>(work_.batch.tokens() * work_.model.hidden) *
         size_of_type(work_.precision.compute);
}

double CostModel::message_bytes() const {
  const bool split = work_.sharding.sequence_parallel || device_.software.split_messages;
  return stream_bytes() / (split ? static_cast<double>(work_.sharding.tensor) : 1.0);
}

double CostModel::seconds(const std::vector<Exchange>& exchanges) const {
  double seconds = 0.0, sent = 0.0, received = 0.0;
  for (const Exchange& exchange : exchanges) switch (exchange.kind) {
      case Exchange::Kind::all_reduce: seconds += tensor_.all_reduce_seconds(exchange.bytes); break;
      case Exchange::Kind::reduce_scatter:
      case Exchange::Kind::all_gather: seconds += tensor_.scatter_seconds(exchange.bytes); break;
      case Exchange::Kind::send: sent += tensor_.exchange_seconds(exchange.bytes); break;
      case Exchange::Kind::receive: received += tensor_.exchange_seconds(exchange.bytes); break;
    }
  return seconds + std::max(sent, received);  // links are used both ways at once
}

double CostModel::sent_bytes(const std::vector<Exchange>& exchanges) const {
  double bytes = 0.0;
  for (const Exchange& exchange : exchanges) switch (exchange.kind) {
      case Exchange::Kind::all_reduce: bytes += 2.0 * tensor_.scatter_bytes(exchange.bytes); break;
      case Exchange::Kind::reduce_scatter:
      case Exchange::Kind::all_gather: bytes += tensor_.scatter_bytes(exchange.bytes); break;
      case Exchange::Kind::send: bytes += exchange.bytes; break;
      case Exchange::Kind::receive: break;
    }
  return bytes;
}

PassSeconds CostModel::layer(int unit, double weights, Recompute recompute) const {
  const UnitRecord record = record_unit(site(unit));
  const std::vector<ActivationSpec> list = describe(site(unit)).tensors();
  const double linear = flops_of(record.forward).linear, launch = device_.software.launch_seconds;
  const double attention = attention_seconds(record.forward);
  const double weight_bytes = weights * size_of_type(work_.precision.compute);
  const double sum_bytes = 2.0 * weights * size_of_type(work_.precision.accumulate);

  PassSeconds cost;
  cost.forward.compute = product_seconds(linear, weight_bytes) + attention +
                         moved_seconds(bytes_of(list, made_in_forward)) + launch;
  cost.forward.tensor_communication = seconds(record.forward.exchanges);
  cost.input_gradient.compute = product_seconds(linear, weight_bytes) +
                                attention_seconds(record.input_gradient) +
                                moved_seconds(bytes_of(list, of_input_gradient)) + 2.0 * launch;
  cost.input_gradient.tensor_communication = seconds(record.input_gradient.exchanges);
  cost.weight_gradient.compute = product_seconds(linear, sum_bytes);
  if (recompute == Recompute::full) {
    const PassRecord& repeated = again(record, recompute);
    cost.input_gradient.recompute = product_seconds(flops_of(repeated).linear, weight_bytes) + attention +
                                    moved_seconds(bytes_of(list, made_in_forward)) + launch;
    cost.input_gradient.tensor_communication += seconds(repeated.exchanges);
  }
  if (recompute == Recompute::selective)
    cost.input_gradient.recompute = attention + moved_seconds(bytes_of(list, dropped_by_selective));
  return cost;
}

const PassRecord& CostModel::again(const UnitRecord& record, Recompute recompute) const {
  const PassRecord& repeated = record.recompute(recompute);
  const bool whole = recompute == Recompute::full && device_.software.whole_recompute;
  return whole && !repeated.ops.empty() ? record.forward : repeated;
}

// The embedding is a look-up: forward reads and writes rows, backward adds rows to the gradient.
PassSeconds CostModel::embedding() const {
  const double compute = size_of_type(work_.precision.compute),
               accumulate = size_of_type(work_.precision.accumulate);
  const double elements = stream_bytes() / compute / static_cast<double>(work_.sharding.tensor);
  PassSeconds cost;
  cost.forward.compute = moved_seconds(2.0 * elements * compute);
  cost.weight_gradient.compute = moved_seconds(elements * (compute + 2.0 * accumulate));
  const UnitRecord record = record_unit(site(work_.model.embedding_unit()));
  cost.forward.tensor_communication = seconds(record.forward.exchanges);
  cost.input_gradient.tensor_communication = seconds(record.input_gradient.exchanges);
  return cost;
}

// The head takes its three products in forward, together with the loss. The logits move three times beside
// the products: for the statistics, and for the gradient that takes their place. Each block of tokens reads
// the weight, and reads and writes the sum of its gradient. Only the norm is left for backward.
PassSeconds CostModel::head(double weights) const {
  const UnitSite site = this->site(work_.model.head_unit());
  const std::vector<ActivationSpec> list = describe(site).tensors();
  const double compute = size_of_type(work_.precision.compute),
               accumulate = size_of_type(work_.precision.accumulate);
  const double tokens = static_cast<double>(work_.batch.tokens());
  const double shard =
      static_cast<double>(work_.model.padded_vocabulary(work_.sharding) / work_.sharding.tensor);
  const double flops = 2.0 * tokens * shard * static_cast<double>(work_.model.hidden);
  const std::int64_t block =
      head_block(work_.model, work_.sharding, work_.batch, work_.precision, work_.device);
  const double blocks = std::ceil(tokens / static_cast<double>(block)), moved = blocks * weights;
  const auto of_tokens = [](const ActivationSpec& spec) {
    return spec.name != "logits" && spec.name != "statistics";
  };

  PassSeconds cost;
  cost.forward.compute = 2.0 * product_seconds(flops, moved * compute) +
                         product_seconds(flops, 2.0 * moved * accumulate) +
                         moved_seconds(3.0 * tokens * shard * compute + bytes_of(list, of_tokens));
  cost.input_gradient.compute = moved_seconds(bytes_of(list, of_input_gradient));
  cost.forward.tensor_communication = seconds(record_unit(site).forward.exchanges);
  return cost;
}

const PassSeconds& CostModel::unit(int unit, Recompute recompute) const {
  const std::vector<PassSeconds>& costs = kinds_[kind_.at(static_cast<std::size_t>(unit))];
  return costs.size() == 1 ? costs.front() : costs.at(static_cast<std::size_t>(recompute));
}

PassSeconds CostModel::stage(const StageUnits& units) const {
  PassSeconds sum;
  for (int u = units.first; u < units.last; ++u) sum += unit(u, units.recompute_of(u));
  return sum;
}

double CostModel::tensor_bytes(int unit, Recompute recompute) const {
  if (work_.sharding.tensor == 1) return 0.0;
  double most = 0.0;  // of two ranks the first sends to its neighbour in forward, the second in backward
  for (const int rank : {0, 1}) {
    const UnitRecord record = record_unit(site(unit), rank);
    double bytes = sent_bytes(record.forward.exchanges) + sent_bytes(record.input_gradient.exchanges);
    if (recompute == Recompute::full) bytes += sent_bytes(again(record, recompute).exchanges);
    most = std::max(most, bytes);
  }
  return most;
}

double CostModel::recompute_flops_per_token(int unit, Recompute recompute) const {
  if (recompute == Recompute::none) return 0.0;
  const double ranks = static_cast<double>(work_.sharding.tensor);
  return flops_of(again(record_unit(site(unit)), recompute)).total() * ranks /
         static_cast<double>(work_.batch.tokens());
}

double CostModel::optimizer_seconds(double elements) const {
  const ParameterBytes each(work_.precision, true);
  // The gradient is zeroed, read for the norm, and read for the update. Both moments and the master are read
  // and written, and the weight is written too; where it is its own master, it is read and written.
  const std::int64_t weights = each.master == 0 ? 2 * each.weight : 2 * each.master + each.weight;
  return moved_seconds(elements * static_cast<double>(3 * each.gradient + 4 * each.moment + weights));
}

}  // namespace headwater
