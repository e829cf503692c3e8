#include "headwater/layout/arena_layout.h"

#include "headwater/model/step_scalar.h"
#include "headwater/tensor/arena.h"

#include <algorithm>

namespace headwater {
namespace {

// Buckets are cut at unit borders once they hold this many elements (100 MB of f32), so that their sums can overlap the
// backward of earlier units.
constexpr std::int64_t kBucketElements = 25'000'000;

// Parameters start at multiples of this many elements, joined ones excepted, so that every view is aligned.
constexpr std::int64_t kElementAlignment = 64;

// A rank's part of a parameter, and the shape that it has in memory.
struct Shard {
  Box box;
  Shape local;
};

Shard shard_of(const ParameterSpec& spec, const Sharding& sharding, int tensor_rank) {
  const int dim = spec.split.dimension;
  if (dim < 0) return {whole(spec.shape).box, spec.shape};
  const std::int64_t size = spec.shape[dim], multiple = spec.split.pad_multiple * sharding.tensor;
  if (spec.split.pad_multiple > 1) {  // rows, padded behind the last
    const std::int64_t rows = (size + multiple - 1) / multiple * multiple / sharding.tensor;
    const std::int64_t begin = std::min(size, tensor_rank * rows);
    return {part(spec.shape, dim, begin, std::min(rows, size - begin)).box, spec.shape.with_first(rows)};
  }
  const std::int64_t parts = std::min(sharding.tensor, size / spec.split.unit);
  HW_CHECK(size % (parts * spec.split.unit) == 0 && sharding.tensor % parts == 0, "{} {} cannot be cut for {} tensor ranks",
           spec.name, to_string(spec.shape), sharding.tensor);
  const Box box = part(spec.shape, dim, tensor_rank * parts / sharding.tensor * (size / parts), size / parts).box;
  return {box, box.size};
}

std::int64_t bytes_of(const ActivationSpec& spec) {
  return aligned(spec.shape.elements() * static_cast<std::int64_t>(size_of(spec.dtype)));
}

std::int64_t sum_of(const std::vector<ActivationSpec>& list) {
  std::int64_t bytes = 0;
  for (const ActivationSpec& spec : list) bytes += bytes_of(spec);
  return bytes;
}

// Bytes of a unit's tensors whose home is `home` in `pass`.
std::int64_t sum_of(const std::vector<ActivationSpec>& list, Recompute recompute, UnitPass pass, Home home) {
  std::int64_t bytes = 0;
  for (const ActivationSpec& spec : list)
    if (home_of(spec, recompute, pass) == home) bytes += bytes_of(spec);
  return bytes;
}

std::int64_t slot_bytes(const ModelSpec& model, const ChunkNeeds& chunk, const MemoryRequest& request) {
  const SlotCounts& counts = chunk.slots;
  std::int64_t bytes = counts.slots * sum_of(micro_batch_tensors(request.batch));
  for (int u = chunk.units.first; u < chunk.units.last; ++u) {
    const std::vector<ActivationSpec> list = unit_tensors(model, u, request.sharding, request.batch, request.precision);
    const Recompute recompute = chunk.units.recompute_of(u);
    bytes += counts.slots * sum_of(list, recompute, UnitPass::forward, Home::slot) +
             counts.weight_slots * sum_of(list, recompute, UnitPass::forward, Home::weight_slot) +
             counts.delayed_slots * sum_of(list, recompute, UnitPass::input_gradient, Home::delayed_slot);
  }
  return bytes;
}

// The passes that a chunk's units go through.
std::vector<UnitPass> passes(const SlotCounts& counts, bool training) {
  std::vector<UnitPass> passes = {UnitPass::forward};
  if (training && counts.whole_backward) passes.push_back(UnitPass::backward);
  if (training && counts.delayed_slots > 0) passes.push_back(UnitPass::input_gradient);
  return passes;
}

}  // namespace

ParameterLayout::ParameterLayout(const ModelSpec& model, const std::vector<StageUnits>& chunks,
                                 const Sharding& sharding, int tensor_rank) {
  bool holds_embedding = false;
  for (const StageUnits& units : chunks) holds_embedding = holds_embedding || units.has_embedding;
  for (const StageUnits& units : chunks) {
    const std::vector<ParameterSpec> specs = parameters_of(model, units.first, units.last, sharding);
    for (const bool over_tensor : {false, true})
      for (const ParameterSpec& spec : specs) {
        if (spec.reduced_over.contains(Axis::tensor) != over_tensor) continue;
        const bool copy = spec.tied_to_head && !(units.first <= spec.unit && spec.unit < units.last);
        if (copy && holds_embedding) continue;  // both ends on this rank: one tensor
        place(spec, sharding, tensor_rank, copy);
      }
  }
  elements_ = (elements_ + kElementAlignment - 1) / kElementAlignment * kElementAlignment;

  bool holds_head = false;
  for (const StageUnits& units : chunks) holds_head = holds_head || units.has_head;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const ParameterPlace& p = places_[i];
    const std::int64_t end = i + 1 < places_.size() ? places_[i + 1].offset : elements_;
    const bool across = p.spec.tied_to_head && !(holds_embedding && holds_head);
    const bool new_unit = i == 0 || places_[i - 1].spec.unit != p.spec.unit;
    const bool extends = !buckets_.empty() && buckets_.back().reduced_over == p.spec.reduced_over &&
                         buckets_.back().tied_across_stages == across &&
                         !(new_unit && buckets_.back().end - buckets_.back().begin >= kBucketElements);
    if (extends)
      buckets_.back().end = end;
    else
      buckets_.push_back({p.spec.reduced_over, across, p.offset, end});
  }
}

void ParameterLayout::place(const ParameterSpec& spec, const Sharding& sharding, int tensor_rank, bool second_copy) {
  const Shard shard = shard_of(spec, sharding, tensor_rank);
  if (!spec.joined) elements_ = (elements_ + kElementAlignment - 1) / kElementAlignment * kElementAlignment;
  places_.push_back({spec, shard.box, shard.local, elements_, second_copy});
  elements_ += shard.local.elements();
}

std::vector<ActivationSpec> micro_batch_tensors(BatchShape batch) {
  const Shape tokens{batch.tokens()};
  std::vector<ActivationSpec> list;
  for (const char* name : {"tokens", "labels", "position", "attention_start", "lfa_start"})
    list.push_back({name, tokens, DType::i32, Pass::forward, Kept::until_input_gradient, Dropped::never});
  list.push_back({"dropout_keys", {batch.samples, 2}, DType::i32, Pass::forward, Kept::until_input_gradient, Dropped::never});
  return list;
}

std::vector<ActivationSpec> unit_tensors(const ModelSpec& model, int unit, const Sharding& sharding, BatchShape batch,
                                         Precision precision) {
  if (unit == model.embedding_unit()) return embedding_activations(model, sharding, batch, precision);
  if (unit == model.head_unit()) return head_activations(model, sharding, batch, precision);
  return activations(model.layers[static_cast<std::size_t>(unit) - 1], sharding, batch, precision);
}

std::int64_t scratch_bytes(const ModelSpec& model, const MemoryRequest& request) {
  std::int64_t most = 0;
  for (const ChunkNeeds& chunk : request.chunks)
    for (int u = chunk.units.first; u < chunk.units.last; ++u) {
      const std::vector<ActivationSpec> list = unit_tensors(model, u, request.sharding, request.batch, request.precision);
      const Recompute recompute = chunk.units.recompute_of(u);
      for (const UnitPass pass : passes(chunk.slots, request.training))
        most = std::max(most, sum_of(list, recompute, pass, Home::pass_scratch) +
                                  std::max(sum_of(list, recompute, pass, Home::forward_scratch),
                                           sum_of(list, recompute, pass, Home::backward_scratch)));
    }
  return most;
}

std::int64_t rotary_positions(const ModelSpec& model, BatchShape batch) {
  return std::max(model.max_positions, batch.sequence);
}

std::vector<SegmentSize> arena_layout(const ModelSpec& model, const ParameterLayout& parameters,
                                      const MemoryRequest& request) {
  const Precision precision = request.precision;
  const auto compute = static_cast<std::int64_t>(size_of(precision.compute));
  const auto accumulate = static_cast<std::int64_t>(size_of(precision.accumulate));
  const std::int64_t elements = parameters.elements();
  // One tensor of the residual stream.
  const std::int64_t stream = aligned(request.sharding.local_tokens(request.batch.tokens()) * model.hidden * compute);

  std::int64_t slots = 0, communication = 0;
  for (const ChunkNeeds& chunk : request.chunks) {
    slots += slot_bytes(model, chunk, request);
    communication += stream * chunk.buffers;
  }
  for (const Bucket& bucket : parameters.buckets())
    if (request.training && bucket.tied_across_stages) communication += aligned((bucket.end - bucket.begin) * accumulate);

  const LayerSpec& layer = model.layers.front();
  std::vector<SegmentSize> segments = {
      {"weights", aligned(elements * compute)},
      {"master", request.training && precision.compute != precision.accumulate ? aligned(elements * accumulate) : 0},
      {"gradients", request.training ? aligned(elements * accumulate) : 0},
      {"optimizer", request.training ? 2 * aligned(elements * accumulate) : 0},
      {"activations", slots},
      // Beside scratch: the residual stream's gradient, in two tensors that take turns.
      {"workspace", scratch_bytes(model, request) + (request.training ? 2 * stream : 0) + aligned(request.op_workspace)},
      {"communication", communication},
      {"constants", aligned(rotary_positions(model, request.batch) * layer.head_dim * accumulate) +
                        aligned(kStepScalars * static_cast<std::int64_t>(sizeof(double)))},
  };
  std::erase_if(segments, [](const SegmentSize& segment) { return segment.bytes == 0; });
  return segments;
}

}  // namespace headwater
