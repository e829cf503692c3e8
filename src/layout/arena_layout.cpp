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

// Bytes that the chosen tensors take together.
template <class Choose>
std::int64_t sum_of(const std::vector<ActivationSpec>& list, Choose choose) {
  std::int64_t bytes = 0;
  for (const ActivationSpec& spec : list)
    if (choose(spec)) bytes += bytes_of(spec);
  return bytes;
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

bool is_kept(const ActivationSpec& spec) { return spec.kept != Kept::scratch && spec.made == Pass::forward; }

std::vector<ActivationSpec> unit_tensors(const ModelSpec& model, int unit, const Sharding& sharding, BatchShape batch,
                                         Precision precision) {
  if (unit == model.embedding_unit()) return {};
  if (unit == model.head_unit()) return head_activations(model, sharding, batch, precision);
  return activations(model.layers[static_cast<std::size_t>(unit) - 1], sharding, batch, precision);
}

std::int64_t scratch_bytes(const ModelSpec& model, const StageUnits& units, const Sharding& sharding, BatchShape batch,
                           Precision precision, bool training) {
  std::int64_t most = 0;
  for (int u = units.first; u < units.last; ++u) {
    const std::vector<ActivationSpec> list = unit_tensors(model, u, sharding, batch, precision);
    for (const Pass pass : {Pass::forward, Pass::backward}) {
      if (pass == Pass::backward && !training) continue;
      most = std::max(most, sum_of(list, [&](const ActivationSpec& spec) { return spec.made == pass && !is_kept(spec); }));
    }
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
  const std::int64_t stream = aligned(request.batch.tokens() * model.hidden * compute);  // one [T, H]

  std::int64_t slots = 0, scratch = 0, communication = 0;
  for (const ChunkNeeds& chunk : request.chunks) {
    std::int64_t slot = sum_of(micro_batch_tensors(request.batch), is_kept);
    for (int u = chunk.units.first; u < chunk.units.last; ++u)
      slot += sum_of(unit_tensors(model, u, request.sharding, request.batch, precision), is_kept);
    scratch = std::max(scratch, scratch_bytes(model, chunk.units, request.sharding, request.batch, precision,
                                              request.training));
    slots += slot * chunk.slots;
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
      {"workspace", scratch + (request.training ? 2 * stream : 0) + aligned(request.op_workspace)},
      {"communication", communication},
      {"constants", aligned(rotary_positions(model, request.batch) * layer.head_dim * accumulate) +
                        aligned(kStepScalars * static_cast<std::int64_t>(sizeof(double)))},
  };
  std::erase_if(segments, [](const SegmentSize& segment) { return segment.bytes == 0; });
  return segments;
}

}  // namespace headwater
