#pragma once
// Where the parameters of one rank lie, which gradients are summed together, and which elements this rank
// updates.
//
// Weights and gradients share one layout of elements: parameter p lies at [offset, offset + elements) in
// each. What is trained comes first, and what is not lies behind it, where there are weights only. Units
// follow one another; a gradient bucket is a contiguous range of them whose gradients are summed over the
// same axes. Where the optimizer is sharded (ZeRO-1) each bucket is cut in equal parts, one per rank
// of its data axes: a rank holds masters and moments of its parts only, one bucket's after the other's.

#include "headwater/layout/process_grid.h"
#include "headwater/layout/stage_layout.h"
#include "headwater/model/parameter_spec.h"
#include "headwater/tensor/slice.h"

#include <limits>
#include <set>
#include <vector>

namespace headwater {

// The axes over which a sharded optimizer shares its work.
inline constexpr AxisSet kShardAxes{Axis::context, Axis::data};
inline constexpr std::int64_t kBucketElements = 25'000'000;

// Where a rank stands among those that hold the same parameters, or other parts of them.
struct ShardPosition {
  int tensor_rank = 0;
  int shards = 1, shard = 0;  // parts that each bucket is cut in, and which of them this rank updates
  AxisSet not_first = {};     // axes along which it is not the first
};
ShardPosition shard_position_of(const ProcessGrid& grid, int rank, bool sharded_optimizer);

struct Range {
  std::int64_t begin = 0, end = 0;  // elements
  std::int64_t size() const { return end - begin; }
};

struct ParameterPlace {
  ParameterSpec spec;
  Box box;                   // which part of the global tensor lies here
  Shape local;               // its shape in memory, padding (rows behind it) included
  std::int64_t offset = 0;   // elements
  bool second_copy = false;  // the head's copy of a tied embedding whose first copy lies on another rank
  // of the box's elements those that this rank updates: all without a sharded optimizer, none of what is not
  // trained
  Range updated;
  // this rank saves saved_slice() and counts what it updates in the norm: no other one does
  bool counted_here = true;
  std::int64_t elements() const { return local.elements(); }
  Slice slice() const { return {box, 0, box.size.elements()}; }
  Slice updated_slice() const { return {box, updated.begin, updated.size()}; }
  Slice saved_slice() const { return spec.trained ? updated_slice() : slice(); }
};

struct Bucket {
  // A range whose gradients are summed over further axes (repeated KV heads, which must lie beside their
  // queries).
  struct Also {
    AxisSet axes;
    Range range;
  };
  AxisSet reduced_over;
  bool tied_across_stages = false;  // also summed with the same bucket at the other end of the pipeline
  Range range;
  std::vector<Also> also;
  std::vector<int> units;  // whose passes read it and add to its gradients; ascending
};

// The parameters of one rank; its chunks' units in order. Of what is trained, those whose gradients are
// summed over tensor ranks too (small ones: gains and biases of token shards) stand behind the others of
// their chunk, so that buckets stay large.
class ParameterLayout {
 public:
  // A bucket ends at the first border of units at which it holds `bucket_elements`, so that its sum can
  // overlap the backward of earlier units.
  ParameterLayout(const ModelSpec& model, const std::vector<StageUnits>& chunks, const Sharding& sharding,
                  const ShardPosition& position = {},
                  std::int64_t bucket_elements = std::numeric_limits<std::int64_t>::max());

  const std::vector<ParameterPlace>& places() const { return places_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  std::int64_t elements() const { return elements_; }
  std::int64_t trained_elements() const { return trained_elements_; }  // the first of them
  bool sharded() const { return position_.shards > 1; }
  int shards() const { return position_.shards; }
  // The part of the bucket that this rank updates, and where it lies among all that this rank updates.
  Range shard(const Bucket& bucket) const;
  Range updated(const Bucket& bucket) const;
  std::int64_t updated_elements() const { return trained_elements_ / position_.shards; }
  std::size_t bucket_at(std::int64_t element) const;
  // The axes over which all gradients of a bucket are summed on every rank: with a sharded optimizer all but
  // kShardAxes.
  AxisSet whole_sum_axes(const Bucket& bucket) const;
  std::set<AxisSet> sum_axes() const;  // every set of axes over which anything is summed

 private:
  bool extends_bucket(const ParameterSpec& spec, bool across) const;
  void open_bucket(const ParameterSpec& first, bool across);
  void close_bucket();
  void add(const std::vector<ParameterSpec>& specs, bool trained, const StageUnits& units,
           const ModelSpec& model, const std::vector<StageUnits>& chunks);
  void place(const ParameterSpec& spec, bool second_copy);
  void share(ParameterPlace& place) const;

  Sharding sharding_;
  ShardPosition position_;
  std::int64_t bucket_elements_;
  std::vector<ParameterPlace> places_;
  std::vector<Bucket> buckets_;
  std::int64_t elements_ = 0, trained_elements_ = 0;
};

}  // namespace headwater
