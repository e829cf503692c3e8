// How a sharded optimizer cuts the parameters of a rank.

#include "headwater/base/error.h"
#include "headwater/layout/parameter_layout.h"
#include "headwater/nn/model_units.h"
#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <map>

namespace headwater {
namespace {

constexpr std::int64_t kAlignment = 64;

const ModelSpec kModel = expand(test::small_model({.layers = 4}, 8));

StageUnits units_of(int first, int last) { return {first, last, first == 0, last == kModel.units()}; }

ShardPosition part(int shards, int shard) {
  ShardPosition position;
  position.shards = shards;
  position.shard = shard;
  if (shard > 0) position.not_first = {Axis::data};
  return position;
}

ParameterLayout cut(const StageUnits& units, int shards, int shard, std::int64_t bucket_elements = 1000) {
  return {kModel, {units}, {}, part(shards, shard), bucket_elements};
}

// 3 is odd, 64 is more than many a parameter has elements.
const int kShards[] = {1, 2, 3, 64};

TEST(ParameterShards, EveryElementIsUpdatedAndSpokenForOnce) {
  for (const int shards : kShards) {
    std::map<std::string, std::vector<int>> updates;
    for (int shard = 0; shard < shards; ++shard) {
      const ParameterLayout layout = cut(units_of(0, kModel.units()), shards, shard);
      for (const ParameterPlace& place : layout.places()) {
        std::vector<int>& times = updates[place.spec.name];
        times.resize(static_cast<std::size_t>(place.spec.elements()));
        EXPECT_TRUE(place.counted_here) << place.spec.name;
        for (std::int64_t i = place.updated.begin; i < place.updated.end; ++i)
          ++times.at(static_cast<std::size_t>(i));
      }
    }
    EXPECT_EQ(updates.size(), parameters(kModel).size());
    for (const auto& [name, times] : updates)
      EXPECT_EQ(times, std::vector<int>(times.size(), 1)) << name << ", " << shards;
  }
}

TEST(ParameterShards, PartsAreEqualAndAligned) {
  for (const int shards : kShards)
    for (const int shard : {0, shards - 1}) {
      const ParameterLayout layout = cut(units_of(0, kModel.units()), shards, shard);
      EXPECT_GT(layout.buckets().size(), 3U);
      std::int64_t updated = 0;
      for (const Bucket& bucket : layout.buckets()) {
        const Range mine = layout.shard(bucket);
        EXPECT_EQ(mine.size() * shards, bucket.range.size());
        EXPECT_EQ(mine.begin, bucket.range.begin + shard * mine.size());
        EXPECT_EQ(mine.begin % kAlignment, 0);
        EXPECT_EQ(layout.updated(bucket).begin, updated);
        updated += layout.updated(bucket).size();
        EXPECT_EQ(layout.updated(bucket).end, updated);
      }
      EXPECT_EQ(layout.updated_elements(), updated);
      EXPECT_EQ(layout.elements(), updated * shards);
    }
}

TEST(ParameterShards, WithoutThemTheFirstReplicaSpeaks) {
  ShardPosition second;
  second.not_first = {Axis::data};
  const ParameterLayout layout(kModel, {units_of(0, kModel.units())}, {}, second);
  for (const ParameterPlace& place : layout.places()) {
    EXPECT_FALSE(place.counted_here) << place.spec.name;
    EXPECT_EQ(place.updated.size(), place.spec.elements()) << place.spec.name;
  }
}

TEST(ParameterShards, BothEndsCutTheTiedEmbeddingAlikeAndTheFirstSpeaks) {
  for (const int shards : kShards) {
    const ParameterLayout first = cut(units_of(0, 3), shards, shards - 1),
                          last = cut(units_of(3, kModel.units()), shards, shards - 1);
    const auto embedding = [](const ParameterLayout& layout) {
      for (const ParameterPlace& place : layout.places())
        if (place.spec.name == "embedding.weight") return place;
      throw InternalError("no embedding");
    };
    EXPECT_EQ(embedding(first).updated.begin, embedding(last).updated.begin);
    EXPECT_EQ(embedding(first).updated.end, embedding(last).updated.end);
    EXPECT_TRUE(embedding(first).counted_here);
    EXPECT_FALSE(embedding(last).counted_here);
  }
}

TEST(ParameterShards, ABucketKnowsTheUnitsThatUseIt) {
  const auto users = [](const ParameterLayout& layout) {
    std::vector<int> units;
    for (const Bucket& bucket : layout.buckets())
      units.insert(units.end(), bucket.units.begin(), bucket.units.end());
    return units;
  };
  // One bucket a unit; the tied embedding's is also the head's where that lies here.
  EXPECT_EQ(users(cut(units_of(0, kModel.units()), 2, 0, 1)), (std::vector{0, 5, 1, 2, 3, 4, 5}));
  EXPECT_EQ(users(cut(units_of(0, 3), 2, 0, 1)), (std::vector{0, 1, 2}));
  EXPECT_EQ(users(cut(units_of(4, kModel.units()), 2, 0, 1)), (std::vector{5, 4, 5}));
}

// KV heads that ranks repeat lie beside their queries, and are summed over the ranks that repeat them first.
TEST(ParameterShards, RepeatedKvHeadsAreSummedAlso) {
  ModelConfig config = test::small_model({.lfa = false, .grouped = true, .layers = 2}, 8);
  config.num_attention_heads = 4;
  const ModelSpec model = expand(config);
  Sharding four;
  four.tensor = 4;
  ASSERT_EQ(kv_repeat(model, four), 2);
  const ParameterLayout layout(model, {{0, model.units(), true, true}}, four, part(3, 1));
  std::int64_t also = 0;
  for (const Bucket& bucket : layout.buckets())
    for (const Bucket::Also& further : bucket.also) {
      EXPECT_EQ(further.axes, AxisSet{Axis::repeat});
      also += further.range.size();
    }
  std::int64_t kv = 0;
  for (const ParameterPlace& place : layout.places()) {
    const bool repeated = place.spec.name.ends_with("k.weight") || place.spec.name.ends_with("v.weight");
    kv += repeated ? place.elements() : 0;
    if (place.spec.joined) {
      EXPECT_EQ(place.offset, (&place)[-1].offset + (&place)[-1].elements()) << place.spec.name;
    }
  }
  EXPECT_EQ(also, kv);
  EXPECT_EQ(layout.sum_axes(), (std::set<AxisSet>{{}, AxisSet{Axis::repeat}, kShardAxes}));
}

// The ranks that hold the same KV heads are one axis of the grid, for all layers.
TEST(ParameterShards, KvHeadsAreRepeatedAlikeInAllLayers) {
  ModelSpec model = expand(test::small_model({.lfa = false, .layers = 2}, 8));
  for (LayerSpec& layer : model.layers) layer.heads = layer.kv_heads = 4;
  Sharding four;
  four.tensor = 4;
  EXPECT_EQ(kv_repeat(model, four), 1);
  model.layers[1].kv_heads = 2;  // the other layer has a head for each rank
  EXPECT_EQ(kv_repeat(model, four), 2);
  model.layers[0].kv_heads = 1;
  EXPECT_THROW(kv_repeat(model, four), InternalError);
  model.layers[1].kv_heads = 1;
  EXPECT_EQ(kv_repeat(model, four), 4);
}

}  // namespace
}  // namespace headwater
