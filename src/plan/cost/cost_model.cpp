#include "headwater/plan/cost/cost_model.h"

#include "headwater/base/error.h"
#include "headwater/layout/arena_layout.h"
#include "headwater/layout/parameter_bytes.h"
#include "headwater/model/flops.h"

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

// Returns how many weights of each unit one of the `sharding.tensor` ranks holds.
std::vector<double> weights_by_unit(const RankWork& work) {
  std::vector<double> weights(static_cast<std::size_t>(work.model.units()));
  for (const ParameterSpec& spec : parameters(work.model, work.sharding)) {
    const double share = spec.split.dimension < 0 ? 1.0 : 1.0 / static_cast<double>(work.sharding.tensor);
    weights[static_cast<std::size_t>(spec.unit)] += static_cast<double>(spec.elements()) * share;
    if (spec.tied_to_head) weights.back() += static_cast<double>(spec.elements()) * share;
  }
  return weights;
}

}  // namespace

CostModel::CostModel(const RankWork& work, const EffectiveSpeed& device, const GroupNetwork& tensor)
    : work_(work), device_(device), tensor_(tensor) {
  const ModelSpec& model = work_.model;
  const std::vector<double> weights = weights_by_unit(work_);
  kind_.resize(weights.size());
  kinds_ = {{embedding()}, {head(weights.back())}};
  kind_.front() = 0;
  kind_.back() = 1;
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    if (i > 0 && model.layers[i] == model.layers[i - 1]) {
      kind_[i + 1] = kind_[i];
      continue;
    }
    kind_[i + 1] = kinds_.size();
    auto& costs = kinds_.emplace_back();
    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full})
      costs.push_back(layer(model.layers[i], weights[i + 1], recompute));
  }
}

double CostModel::product_seconds(double flops, double bytes) const {
  return std::max(flops / device_.product_flops, moved_seconds(bytes));
}

double CostModel::attention_seconds(const LayerSpec& layer, Pass pass) const {
  const auto of_way = device_.software.whole_scores ? whole_scores_cost : fused_attention_cost;
  const AttentionCost cost = of_way(layer, work_, pass);
  return cost.flops / device_.product_flops + moved_seconds(cost.bytes);
}

double CostModel::stream_bytes() const {
  return static_cast<double>(work_.batch.tokens() * work_.model.hidden) *
         size_of_type(work_.precision.compute);
}

// Each rank gives three numbers for each token, of which the softmax over the whole vocabulary is made.
double CostModel::statistics_bytes() const {
  return 3.0 * static_cast<double>(work_.batch.tokens() * work_.sharding.tensor) *
         size_of_type(work_.precision.accumulate);
}

double CostModel::message_bytes() const {
  const bool split = work_.sharding.sequence_parallel || device_.software.split_messages;
  return stream_bytes() / (split ? static_cast<double>(work_.sharding.tensor) : 1.0);
}

CostModel::Exchanged CostModel::exchanged(const LayerSpec& layer, Pass pass) const {
  const Sharding& sharding = work_.sharding;
  Exchanged all;
  if (sharding.tensor == 1) return all;
  const bool lfa = layer.filter == FilterKind::lfa, forward = pass == Pass::forward;
  if (!sharding.sequence_parallel) {
    all.scatters = 2.0 * (lfa ? 3.0 : 2.0);
    return all;
  }
  // Attention and MLP each: forward gathers the input and scatters the output; backward gathers the output's
  // gradient and, once more, the input, and scatters the input's gradient.
  all.scatters = 2.0 * (forward ? 2.0 : 3.0);
  if (!lfa) return all;
  // The filter's output is gathered for queries and keys, and again in backward, which scatters its gradient.
  all.scatters += forward ? 1.0 : 2.0;
  if (!sharding.filter_by_tokens()) {
    all.scatters += 1.0;  // its second convolution's output is scattered, and that one's gradient gathered
  } else {
    all.messages = 2;  // one before each of the two convolutions
    all.message_bytes =
        static_cast<double>(layer.hidden + layer.filter_channels()) * size_of_type(work_.precision.compute);
  }
  return all;
}

CostModel::Exchanged& CostModel::Exchanged::operator+=(const Exchanged& other) {
  scatters += other.scatters;
  messages += other.messages;
  message_bytes += other.message_bytes;
  return *this;
}

// A repeated forward leaves out the last product, and with it the sum of that product's results.
CostModel::Exchanged CostModel::exchanged_again(const LayerSpec& layer) const {
  Exchanged all = exchanged(layer, Pass::forward);
  if (work_.sharding.tensor > 1 && !device_.software.whole_recompute)
    all.scatters -= work_.sharding.sequence_parallel ? 1.0 : 2.0;
  return all;
}

double CostModel::seconds(const Exchanged& exchanged) const {
  const double messages =
      exchanged.messages == 0
          ? 0.0
          : exchanged.messages * tensor_.exchange_seconds(exchanged.message_bytes / exchanged.messages);
  return exchanged.scatters * tensor_.scatter_seconds(stream_bytes()) + messages;
}

double CostModel::bytes(const Exchanged& forward, const Exchanged& backward) const {
  // Forward sends messages to the right, backward to the left. Where there are two ranks none does both.
  const bool both = work_.sharding.tensor > 2;
  return (forward.scatters + backward.scatters) * tensor_.scatter_bytes(stream_bytes()) +
         forward.message_bytes + (both ? backward.message_bytes : 0.0);
}

PassSeconds CostModel::layer(const LayerSpec& spec, double weights, Recompute recompute) const {
  const std::vector<ActivationSpec> list = activations(spec, work_.sharding, work_.batch, work_.precision);
  const UnitFlops per_token = forward_flops_per_token(spec, work_.batch.sequence);
  const double share = static_cast<double>(work_.batch.tokens()) / static_cast<double>(work_.sharding.tensor);
  const double linear = per_token.linear * share, launch = device_.software.launch_seconds;
  const double attention = attention_seconds(spec, Pass::forward);
  const double weight_bytes = weights * size_of_type(work_.precision.compute);
  const double sum_bytes = 2.0 * weights * size_of_type(work_.precision.accumulate);

  PassSeconds cost;
  cost.forward.compute = product_seconds(linear, weight_bytes) + attention +
                         moved_seconds(bytes_of(list, made_in_forward)) + launch;
  cost.forward.tensor_communication = seconds(exchanged(spec, Pass::forward));
  cost.input_gradient.compute = product_seconds(linear, weight_bytes) +
                                attention_seconds(spec, Pass::backward) +
                                moved_seconds(bytes_of(list, of_input_gradient)) + 2.0 * launch;
  cost.input_gradient.tensor_communication = seconds(exchanged(spec, Pass::backward));
  cost.weight_gradient.compute = product_seconds(linear, sum_bytes);
  if (recompute == Recompute::full) {
    cost.input_gradient.recompute = product_seconds(again(spec, recompute).linear * share, weight_bytes) +
                                    attention + moved_seconds(bytes_of(list, made_in_forward)) + launch;
    cost.input_gradient.tensor_communication += seconds(exchanged_again(spec));
  }
  if (recompute == Recompute::selective)
    cost.input_gradient.recompute = attention + moved_seconds(bytes_of(list, dropped_by_selective));
  return cost;
}

UnitFlops CostModel::again(const LayerSpec& layer, Recompute recompute) const {
  if (recompute == Recompute::full && device_.software.whole_recompute)
    return forward_flops_per_token(layer, work_.batch.sequence);
  return headwater::recompute_flops_per_token(layer, work_.batch.sequence, recompute);
}

// The embedding is a look-up: forward reads and writes rows, backward adds rows to the gradient.
PassSeconds CostModel::embedding() const {
  const double compute = size_of_type(work_.precision.compute),
               accumulate = size_of_type(work_.precision.accumulate);
  const double elements = stream_bytes() / compute / static_cast<double>(work_.sharding.tensor);
  PassSeconds cost;
  cost.forward.compute = moved_seconds(2.0 * elements * compute);
  cost.weight_gradient.compute = moved_seconds(elements * (compute + 2.0 * accumulate));
  if (work_.sharding.tensor > 1) {
    // With sequence parallelism backward gathers what forward scattered; without, it has it whole already.
    const double scatter = tensor_.scatter_seconds(stream_bytes());
    cost.forward.tensor_communication = work_.sharding.sequence_parallel ? scatter : 2.0 * scatter;
    cost.input_gradient.tensor_communication = work_.sharding.sequence_parallel ? scatter : 0.0;
  }
  return cost;
}

// The head takes its three products in forward, together with the loss. The logits move three times beside
// the products: for the statistics, and for the gradient that takes their place. Each block of tokens reads
// the weight, and reads and writes the sum of its gradient. Only the norm is left for backward.
PassSeconds CostModel::head(double weights) const {
  const std::vector<ActivationSpec> list =
      head_activations(work_.model, work_.sharding, work_.batch, work_.precision, work_.device);
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
  if (work_.sharding.tensor > 1)
    cost.forward.tensor_communication =
        tensor_.all_reduce_seconds(stream_bytes()) + tensor_.scatter_seconds(statistics_bytes());
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
  const double scatter = tensor_.scatter_bytes(stream_bytes());
  if (unit == work_.model.embedding_unit()) return 2.0 * scatter;
  if (unit == work_.model.head_unit()) {
    return 2.0 * scatter + tensor_.scatter_bytes(statistics_bytes());
  }
  const LayerSpec& spec = work_.model.layers[static_cast<std::size_t>(unit) - 1];
  Exchanged forward = exchanged(spec, Pass::forward);
  if (recompute == Recompute::full) forward += exchanged_again(spec);
  return bytes(forward, exchanged(spec, Pass::backward));
}

double CostModel::recompute_flops_per_token(int unit, Recompute recompute) const {
  if (unit == work_.model.embedding_unit() || unit == work_.model.head_unit()) return 0.0;
  const LayerSpec& layer = work_.model.layers[static_cast<std::size_t>(unit) - 1];
  return again(layer, recompute).total();
}

double CostModel::optimizer_seconds(double elements) const {
  const ParameterBytes each(work_.precision, true);
  // The gradient is zeroed, read for the norm, and read for the update. Both moments and the master are read
  // and written, and the weight is written too; where it is its own master, it is read and written.
  const std::int64_t weights = each.master == 0 ? 2 * each.weight : 2 * each.master + each.weight;
  return moved_seconds(elements * static_cast<double>(3 * each.gradient + 4 * each.moment + weights));
}

}  // namespace headwater
