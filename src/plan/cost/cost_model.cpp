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

// Returns the weights of the unit that one of the `sharding.tensor` ranks holds.
HeldWeights weights_of(const RankWork& work, int unit) {
  HeldWeights weights;
  for (const ParameterSpec& spec : parameters_of(work.model, unit, unit + 1, work.sharding)) {
    const double share = spec.split.dimension < 0 ? 1.0 : 1.0 / static_cast<double>(work.sharding.tensor);
    const double count = static_cast<double>(spec.elements()) * share;
    weights.all += count;
    if (spec.trained) weights.trained += count;
  }
  return weights;
}

}  // namespace

CostModel::CostModel(const RankWork& work, const EffectiveSpeed& device, const GroupNetwork& tensor)
    : work_(work), device_(device), tensor_(tensor) {
  for (int unit = 0; unit < work_.model.units(); ++unit) {
    const int alike = work_.model.first_alike(unit);
    kind_.push_back(alike == unit ? costs_.size() : kind_[static_cast<std::size_t>(alike)]);
    if (alike == unit) costs_.push_back(costs_of(look_at(unit)));
  }
}

// Of two ranks the first sends to its neighbour in forward, the second in backward. Of three or more the
// second does both.
CostModel::Unit CostModel::look_at(int unit) const {
  const UnitSite site{.model = work_.model,
                      .unit = unit,
                      .sharding = work_.sharding,
                      .batch = work_.batch,
                      .precision = work_.precision,
                      .device = work_.device};
  Unit found{site, describe(site), weights_of(work_, unit), {record_unit(site)}};
  if (work_.sharding.tensor == 2) found.records.push_back(record_unit(site, 0));
  return found;
}

std::array<CostModel::UnitCost, 3> CostModel::costs_of(const Unit& unit) const {
  std::array<UnitCost, 3> costs;
  for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
    UnitCost& cost = costs[static_cast<std::size_t>(recompute)];
    cost.seconds = seconds(unit, recompute);
    for (const UnitRecord& record : unit.records) {
      double bytes = sent_bytes(record.forward.exchanges) + sent_bytes(record.input_gradient.exchanges);
      if (recompute == Recompute::full) bytes += sent_bytes(again(record, recompute).exchanges);
      cost.tensor_bytes = std::max(cost.tensor_bytes, bytes);
    }
    if (recompute != Recompute::none)
      cost.recompute_flops = flops_of(again(unit.record(), recompute)).total();
  }
  return costs;
}

PassSeconds CostModel::seconds(const Unit& unit, Recompute recompute) const {
  if (unit.site.unit == work_.model.embedding_unit()) return embedding(unit);
  if (unit.site.unit == work_.model.head_unit()) return head(unit);
  return layer(unit, recompute);
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

PassSeconds CostModel::layer(const Unit& unit, Recompute recompute) const {
  const UnitRecord& record = unit.record();
  const std::vector<ActivationSpec>& list = unit.description.tensors();
  const double linear = flops_of(record.forward).linear, launch = device_.software.launch_seconds;
  const double attention = attention_seconds(record.forward);
  const double weight_bytes = unit.weights.all * size_of_type(work_.precision.compute);
  const double sum_bytes = 2.0 * unit.weights.trained * size_of_type(work_.precision.accumulate);

  PassSeconds cost;
  cost.forward.compute = product_seconds(linear, weight_bytes) + attention +
                         moved_seconds(bytes_of(list, made_in_forward)) + launch;
  cost.forward.tensor_communication = seconds(record.forward.exchanges);
  cost.input_gradient.compute = product_seconds(linear, weight_bytes) +
                                attention_seconds(record.input_gradient) +
                                moved_seconds(bytes_of(list, of_input_gradient)) + 2.0 * launch;
  cost.input_gradient.tensor_communication = seconds(record.input_gradient.exchanges);
  cost.weight_gradient.compute = product_seconds(flops_of(record.weight_gradient).linear, sum_bytes);
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

// The embedding is a look-up: forward reads and writes rows; backward adds rows to the gradient, where the
// table is trained.
PassSeconds CostModel::embedding(const Unit& unit) const {
  const double compute = size_of_type(work_.precision.compute),
               accumulate = size_of_type(work_.precision.accumulate);
  const double elements = stream_bytes() / compute / static_cast<double>(work_.sharding.tensor);
  PassSeconds cost;
  cost.forward.compute = moved_seconds(2.0 * elements * compute);
  if (unit.weights.trained > 0.0)
    cost.weight_gradient.compute = moved_seconds(elements * (compute + 2.0 * accumulate));
  cost.forward.tensor_communication = seconds(unit.record().forward.exchanges);
  cost.input_gradient.tensor_communication = seconds(unit.record().input_gradient.exchanges);
  return cost;
}

// The head takes its three products in forward, together with the loss. The logits move three times beside
// the products: for the statistics, and for the gradient that takes their place. Each block of tokens reads
// the weight, and reads and writes the sum of its gradient, unless it is not trained. Only the norm is left
// for backward.
PassSeconds CostModel::head(const Unit& unit) const {
  const std::vector<ActivationSpec>& list = unit.description.tensors();
  const double compute = size_of_type(work_.precision.compute),
               accumulate = size_of_type(work_.precision.accumulate);
  const double tokens = static_cast<double>(work_.batch.tokens());
  const double shard =
      static_cast<double>(work_.model.padded_vocabulary(work_.sharding) / work_.sharding.tensor);
  const double flops = 2.0 * tokens * shard * static_cast<double>(work_.model.hidden);
  const std::int64_t block =
      head_block(work_.model, work_.sharding, work_.batch, work_.precision, work_.device);
  const double blocks = std::ceil(tokens / static_cast<double>(block)), moved = blocks * unit.weights.all;
  const auto of_tokens = [](const ActivationSpec& spec) {
    return spec.name != "logits" && spec.name != "statistics";
  };

  PassSeconds cost;
  const double weight_gradient =
      unit.description.products().front().trained ? product_seconds(flops, 2.0 * moved * accumulate) : 0.0;
  cost.forward.compute = 2.0 * product_seconds(flops, moved * compute) + weight_gradient +
                         moved_seconds(3.0 * tokens * shard * compute + bytes_of(list, of_tokens));
  cost.input_gradient.compute = moved_seconds(bytes_of(list, of_input_gradient));
  cost.forward.tensor_communication = seconds(unit.record().forward.exchanges);
  return cost;
}

PassSeconds CostModel::stage(const StageUnits& units) const {
  PassSeconds sum;
  for (int u = units.first; u < units.last; ++u) sum += unit(u, units.recompute_of(u));
  return sum;
}

double CostModel::recompute_flops_per_token(int unit, Recompute recompute) const {
  const double ranks = static_cast<double>(work_.sharding.tensor);
  return cost(unit, recompute).recompute_flops * ranks / static_cast<double>(work_.batch.tokens());
}

double CostModel::optimizer_seconds(double elements) const {
  const ParameterBytes each(work_.precision, true);
  // The gradient is zeroed, read for the norm, and read for the update. Both moments and the master are read
  // and written, and the weight is written too; where it is its own master, it is read and written.
  const std::int64_t weights = each.master == 0 ? 2 * each.weight : 2 * each.master + each.weight;
  return moved_seconds(elements * static_cast<double>(3 * each.gradient + 4 * each.moment + weights));
}

}  // namespace headwater
