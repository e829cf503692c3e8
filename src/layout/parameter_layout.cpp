#include "headwater/layout/parameter_layout.h"

#include "headwater/base/error.h"
#include "headwater/nn/model_units.h"

#include <algorithm>

namespace headwater {
namespace {

// Parameters, and the parts of a bucket, start at multiples of this many elements, joined parameters
// excepted, so that every view is aligned.
constexpr std::int64_t kElementAlignment = 64;

std::int64_t rounded_up(std::int64_t count, std::int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

bool holds(const std::vector<StageUnits>& chunks, int unit) {
  return std::ranges::any_of(
      chunks, [&](const StageUnits& units) { return units.first <= unit && unit < units.last; });
}

}  // namespace

ShardPosition shard_position_of(const ProcessGrid& grid, int rank, bool sharded_optimizer) {
  ShardPosition position;
  position.tensor_rank = grid.coordinate(rank, kTensorAxes);
  if (sharded_optimizer) {
    position.shards = grid.size(kShardAxes);
    position.shard = grid.coordinate(rank, kShardAxes);
  }
  for (int i = 0; i < kAxes; ++i)
    if (const auto axis = static_cast<Axis>(i); grid.coordinate(rank, axis) != 0)
      position.not_first = position.not_first | AxisSet{axis};
  return position;
}

ParameterLayout::ParameterLayout(const ModelSpec& model, const std::vector<StageUnits>& chunks,
                                 const Sharding& sharding, const ShardPosition& position,
                                 std::int64_t bucket_elements)
    : sharding_(sharding), position_(position), bucket_elements_(bucket_elements) {
  std::vector<std::vector<ParameterSpec>> specs;  // by chunk
  for (const StageUnits& units : chunks)
    specs.push_back(parameters_of(model, units.first, units.last, sharding));
  for (std::size_t c = 0; c < chunks.size(); ++c) add(specs[c], true, chunks[c], model, chunks);
  close_bucket();
  trained_elements_ = elements_;
  for (std::size_t c = 0; c < chunks.size(); ++c) add(specs[c], false, chunks[c], model, chunks);
  elements_ = rounded_up(elements_, kElementAlignment);
  for (Bucket& bucket : buckets_) {
    std::ranges::sort(bucket.units);
    bucket.units.erase(std::ranges::unique(bucket.units).begin(), bucket.units.end());
  }
  for (ParameterPlace& place : places_) share(place);
}

// Places those of a chunk's parameters that are trained, or those that are not.
void ParameterLayout::add(const std::vector<ParameterSpec>& specs, bool trained, const StageUnits& units,
                          const ModelSpec& model, const std::vector<StageUnits>& chunks) {
  const bool has_embedding = holds(chunks, model.embedding_unit()),
             has_head = holds(chunks, model.head_unit());
  for (const bool over_tensor : {false, true})
    for (const ParameterSpec& spec : specs) {
      if (spec.trained != trained || spec.reduced_over.contains(Axis::tensor) != over_tensor) continue;
      const bool copy = spec.tied_to_head && !(units.first <= spec.unit && spec.unit < units.last);
      if (copy && has_embedding) continue;  // both ends on this rank: one tensor
      const bool across = spec.tied_to_head && !(has_embedding && has_head);
      if (trained && !spec.joined && !extends_bucket(spec, across)) open_bucket(spec, across);
      place(spec, copy);
      if (!trained) continue;
      std::vector<int>& users = buckets_.back().units;
      if (!copy) users.push_back(spec.unit);
      if (spec.tied_to_head && has_head) users.push_back(model.head_unit());
    }
}

bool ParameterLayout::extends_bucket(const ParameterSpec& spec, bool across) const {
  if (buckets_.empty()) return false;
  const Bucket& last = buckets_.back();
  const bool full = places_.back().spec.unit != spec.unit && elements_ - last.range.begin >= bucket_elements_;
  return last.reduced_over == spec.reduced_over && last.tied_across_stages == across && !full;
}

void ParameterLayout::open_bucket(const ParameterSpec& first, bool across) {
  close_bucket();
  buckets_.push_back({first.reduced_over, across, {elements_, elements_}, {}, {}});
}

void ParameterLayout::close_bucket() {
  elements_ = rounded_up(elements_, kElementAlignment * position_.shards);
  if (!buckets_.empty()) buckets_.back().range.end = elements_;
}

void ParameterLayout::place(const ParameterSpec& spec, bool second_copy) {
  const ParameterShard shard = parameter_shard(spec, sharding_, position_.tensor_rank);
  if (!spec.joined) elements_ = rounded_up(elements_, kElementAlignment);
  places_.push_back({spec, shard.box, shard.local, elements_, second_copy, {}, true});
  elements_ += shard.local.elements();
  if (!spec.trained) return;

  Bucket& bucket = buckets_.back();
  if (spec.reduced_over == bucket.reduced_over) return;
  const AxisSet further = spec.reduced_over.without(bucket.reduced_over);
  HW_CHECK((further | bucket.reduced_over) == spec.reduced_over,
           "{} is summed over fewer axes than what it is joined to", spec.name);
  const std::int64_t begin = places_.back().offset;
  if (!bucket.also.empty() && bucket.also.back().axes == further && bucket.also.back().range.end == begin)
    bucket.also.back().range.end = elements_;
  else
    bucket.also.push_back({further, {begin, elements_}});
}

// Which elements of the parameter this rank updates, and whether it alone speaks for them.
void ParameterLayout::share(ParameterPlace& place) const {
  AxisSet copies = place.spec.replicated_on;
  if (place.spec.trained) {
    const Range part = shard(buckets_[bucket_at(place.offset)]);
    const std::int64_t count = place.slice().count;
    const auto within = [&](std::int64_t element) {
      return std::clamp<std::int64_t>(element - place.offset, 0, count);
    };
    place.updated = {within(part.begin), within(part.end)};
    if (sharded()) copies = copies.without(kShardAxes);  // there each holds a part of its own
  }
  place.counted_here = !place.second_copy && !copies.meets(position_.not_first);
}

Range ParameterLayout::shard(const Bucket& bucket) const {
  const std::int64_t each = bucket.range.size() / position_.shards,
                     begin = bucket.range.begin + position_.shard * each;
  return {begin, begin + each};
}

Range ParameterLayout::updated(const Bucket& bucket) const {
  return {bucket.range.begin / position_.shards, bucket.range.end / position_.shards};
}

AxisSet ParameterLayout::whole_sum_axes(const Bucket& bucket) const {
  return sharded() ? bucket.reduced_over.without(kShardAxes) : bucket.reduced_over;
}

std::set<AxisSet> ParameterLayout::sum_axes() const {
  std::set<AxisSet> sets;
  if (sharded()) sets.insert(kShardAxes);
  for (const Bucket& bucket : buckets_) {
    sets.insert(whole_sum_axes(bucket));
    for (const Bucket::Also& also : bucket.also) sets.insert(also.axes);
  }
  return sets;
}

std::size_t ParameterLayout::bucket_at(std::int64_t element) const {
  const auto next = std::ranges::upper_bound(buckets_, element, {},
                                             [](const Bucket& bucket) { return bucket.range.begin; });
  HW_CHECK(next != buckets_.begin() && element < trained_elements_, "no bucket holds element {} of {}",
           element, trained_elements_);
  return static_cast<std::size_t>(next - buckets_.begin()) - 1;
}

}  // namespace headwater
