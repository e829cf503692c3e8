#include "headwater/layout/arena_layout.h"

#include "headwater/backend/step_scalar.h"
#include "headwater/base/index.h"
#include "headwater/layout/parameter_bytes.h"
#include "headwater/nn/model_units.h"
#include "headwater/tensor/arena.h"

#include <algorithm>
#include <set>

namespace headwater {
namespace {

std::int64_t bytes_of(const ActivationSpec& spec) {
  return aligned(spec.shape.elements() * static_cast<std::int64_t>(size_of(spec.dtype)));
}

// Bytes of a unit's tensors whose home is `home` in `pass`.
std::int64_t sum_of(const std::vector<ActivationSpec>& list, Recompute recompute, UnitPass pass, Home home) {
  std::int64_t bytes = 0;
  for (const ActivationSpec& spec : list)
    if (home_of(spec, recompute, pass) == home) bytes += bytes_of(spec);
  return bytes;
}

std::int64_t slot_bytes(const ModelSpec& model, const ChunkNeeds& chunk, const MemoryRequest& request) {
  std::int64_t bytes = chunk.slots.slots * micro_batch_bytes(batch_arrays(model, chunk.units), request.batch);
  for (int u = chunk.units.first; u < chunk.units.last; ++u)
    bytes +=
        unit_slot_bytes(request.site(model, chunk.units, u), chunk.units.recompute_of(u)).times(chunk.slots);
  return bytes;
}

// Returns units that stand for all of the stage: the first of the model for those that are alike.
std::set<int> distinct_units(const ModelSpec& model, const StageUnits& stage) {
  std::set<int> units;
  for (int u = stage.first; u < stage.last; ++u) units.insert(model.first_alike(u));
  return units;
}

// The passes that a chunk's units go through.
std::vector<UnitPass> passes(const SlotCounts& counts, bool training) {
  std::vector<UnitPass> passes = {UnitPass::forward};
  if (training && counts.whole_backward) passes.push_back(UnitPass::backward);
  if (training && counts.delayed_slots > 0) passes.push_back(UnitPass::input_gradient);
  return passes;
}

}  // namespace

std::set<BatchArray> batch_arrays(const ModelSpec& model, const StageUnits& stage) {
  std::set<BatchArray> arrays;
  for (const int u : distinct_units(model, stage))
    arrays.merge(describe({.model = model, .unit = u}).batch_arrays());
  return arrays;
}

ActivationSpec batch_tensor(BatchArray array, BatchShape batch) {
  const auto spec = [](const char* name, Shape shape) {
    return ActivationSpec{name, shape, DType::i32, Pass::forward, Kept::until_input_gradient, Dropped::never};
  };
  const Shape tokens{batch.tokens()};
  switch (array) {
    case BatchArray::tokens: return spec("tokens", tokens);
    case BatchArray::labels: return spec("labels", tokens);
    case BatchArray::position: return spec("position", tokens);
    case BatchArray::attention_start: return spec("attention_start", tokens);
    case BatchArray::lfa_start: return spec("lfa_start", tokens);
    case BatchArray::dropout_keys: return spec("dropout_keys", {batch.samples, 2});
  }
  throw InternalError("no array {} of a micro-batch", static_cast<int>(array));
}

std::int64_t micro_batch_bytes(const std::set<BatchArray>& arrays, BatchShape batch) {
  std::int64_t bytes = 0;
  for (const BatchArray array : arrays) bytes += bytes_of(batch_tensor(array, batch));
  return bytes;
}

SlotBytes& SlotBytes::operator+=(const SlotBytes& other) {
  slot += other.slot;
  weight_slot += other.weight_slot;
  delayed_slot += other.delayed_slot;
  return *this;
}

SlotBytes unit_slot_bytes(const UnitSite& site, Recompute recompute) {
  const std::vector<ActivationSpec> list = describe(site).tensors();
  return {sum_of(list, recompute, UnitPass::forward, Home::slot),
          sum_of(list, recompute, UnitPass::forward, Home::weight_slot),
          sum_of(list, recompute, UnitPass::input_gradient, Home::delayed_slot)};
}

std::int64_t scratch_bytes(const ModelSpec& model, const MemoryRequest& request) {
  std::int64_t most = 0;
  for (const ChunkNeeds& chunk : request.chunks)
    for (int u = chunk.units.first; u < chunk.units.last; ++u) {
      const std::vector<ActivationSpec> list = describe(request.site(model, chunk.units, u)).tensors();
      const Recompute recompute = chunk.units.recompute_of(u);
      for (const UnitPass pass : passes(chunk.slots, request.training))
        most = std::max(most, sum_of(list, recompute, pass, Home::pass_scratch) +
                                  std::max(sum_of(list, recompute, pass, Home::forward_scratch),
                                           sum_of(list, recompute, pass, Home::backward_scratch)));
    }
  return most;
}

bool weight_gradients_read_stream(const ModelSpec& model, const MemoryRequest& request) {
  for (int u = 1; u < model.head_unit(); ++u)
    if (model.first_alike(u) == u)
      for (const ActivationSpec& spec : describe(request.site(model, u)).tensors())
        if (spec.kept == Kept::between_gradients) return true;
  return false;
}

std::vector<ConstantSpec> unit_constants(const ModelSpec& model, const MemoryRequest& request) {
  std::vector<ConstantSpec> all;
  std::set<int> units;
  for (const ChunkNeeds& chunk : request.chunks) units.merge(distinct_units(model, chunk.units));
  for (const int u : units)
    for (const ConstantSpec& spec : describe(request.site(model, u)).constants())
      if (std::ranges::find(all, spec.name, &ConstantSpec::name) == all.end()) all.push_back(spec);
  return all;
}

std::vector<SegmentSize> arena_layout(const ModelSpec& model, const ParameterLayout& parameters,
                                      const MemoryRequest& request) {
  const Precision precision = request.precision;
  const ParameterBytes each(precision, request.training);
  const auto compute = static_cast<std::int64_t>(size_of(precision.compute));
  const auto accumulate = static_cast<std::int64_t>(size_of(precision.accumulate));
  const std::int64_t elements = parameters.elements(), updated = parameters.updated_elements();
  // One tensor of the residual stream.
  const std::int64_t stream =
      aligned(request.sharding.local_tokens(request.batch.tokens()) * model.hidden * compute);

  std::int64_t slots = 0, communication = 0;
  for (const ChunkNeeds& chunk : request.chunks) {
    slots += slot_bytes(model, chunk, request);
    communication += stream * chunk.buffers;
  }
  for (const Bucket& bucket : parameters.buckets())
    if (request.training && bucket.tied_across_stages)
      communication += aligned(parameters.shard(bucket).size() * accumulate);

  std::int64_t constants = aligned(kStepScalars * static_cast<std::int64_t>(sizeof(double)));
  for (const ConstantSpec& spec : unit_constants(model, request))
    constants += aligned(spec.shape.elements() * static_cast<std::int64_t>(size_of(spec.dtype)));
  std::vector<SegmentSize> segments = {
      {"weights", aligned(elements * each.weight)},
      {"master", aligned(updated * each.master)},
      {"gradients", aligned(parameters.trained_elements() * each.gradient)},
      {"optimizer", 2 * aligned(updated * each.moment)},
      {"activations", slots},
      // Beside scratch: the residual stream's gradient, in two tensors that take turns.
      {"workspace",
       scratch_bytes(model, request) + (request.training ? 2 * stream : 0) + aligned(request.op_workspace)},
      {"communication", communication},
      {"constants", constants},
  };
  std::erase_if(segments, [](const SegmentSize& segment) { return segment.bytes == 0; });
  return segments;
}

}  // namespace headwater
