#include "headwater/layout/arena_layout.h"

#include "headwater/nn/model_units.h"
#include "headwater/tensor/arena.h"

#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <map>

namespace headwater {
namespace {

const test::ModelOptions kOptions{.layers = 4};

StageUnits units_of(const ModelSpec& model, int first, int last) {
  return {first, last, first == 0, last == model.units()};
}

// One rank per stage, cut before the given units.
std::vector<ParameterLayout> cut(const ModelSpec& model, const std::vector<int>& before) {
  std::vector<ParameterLayout> layouts;
  int first = 0;
  for (const int last : before) {
    layouts.emplace_back(model, std::vector{units_of(model, first, last)}, Sharding{});
    first = last;
  }
  layouts.emplace_back(model, std::vector{units_of(model, first, model.units())}, Sharding{});
  return layouts;
}

const Bucket* bucket_at(const ParameterLayout& layout, std::int64_t element) {
  for (const Bucket& bucket : layout.buckets())
    if (bucket.range.begin <= element && element < bucket.range.end) return &bucket;
  return nullptr;
}

const ParameterPlace* find(const ParameterLayout& layout, const std::string& name) {
  for (const ParameterPlace& place : layout.places())
    if (place.spec.name == name) return &place;
  return nullptr;
}

// Buckets and places in order, without overlap, without a gap but for alignment; no place across two buckets.
void check_cover(const ParameterLayout& layout) {
  std::int64_t end = 0;
  for (const Bucket& bucket : layout.buckets()) {
    EXPECT_EQ(bucket.range.begin, end);
    EXPECT_GT(bucket.range.size(), 0);
    end = bucket.range.end;
  }
  EXPECT_EQ(end, layout.elements());
  end = 0;
  for (const ParameterPlace& place : layout.places()) {
    EXPECT_GE(place.offset, end) << place.spec.name;
    EXPECT_LT(place.offset - end, 64) << place.spec.name;
    end = place.offset + place.elements();
    const Bucket* bucket = bucket_at(layout, place.offset);
    ASSERT_NE(bucket, nullptr) << place.spec.name;
    EXPECT_LE(end, bucket->range.end) << place.spec.name;
    EXPECT_EQ(bucket->reduced_over, place.spec.reduced_over) << place.spec.name;
    if (place.spec.joined) {
      EXPECT_EQ(place.offset, (&place)[-1].offset + (&place)[-1].elements())
          << place.spec.name << " is joined";
    } else {
      EXPECT_EQ(place.offset % 64, 0) << place.spec.name;
    }
  }
  EXPECT_LE(end, layout.elements());
}

TEST(ParameterLayout, BucketsCoverEveryElementOnce) {
  for (const bool tied : {true, false})
    for (const bool lfa : {true, false}) {
      const ModelSpec model = expand(test::small_model({.lfa = lfa, .tied = tied, .layers = 4}, 8));
      for (const std::vector<int>& before : std::vector<std::vector<int>>{{}, {3}, {1, 5}, {2, 3, 4}})
        for (const ParameterLayout& layout : cut(model, before)) check_cover(layout);
    }
}

TEST(ParameterLayout, EveryParameterOnceOverTheStages) {
  const ModelSpec model = expand(test::small_model(kOptions, 8));
  for (const std::vector<int>& before : std::vector<std::vector<int>>{{}, {3}, {1, 5}, {2, 3, 4}}) {
    std::map<std::string, int> first_copies, second_copies;
    for (const ParameterLayout& layout : cut(model, before))
      for (const ParameterPlace& place : layout.places())
        ++(place.second_copy ? second_copies : first_copies)[place.spec.name];
    EXPECT_EQ(first_copies.size(), parameters(model).size());
    for (const auto& [name, copies] : first_copies) EXPECT_EQ(copies, 1) << name;
    EXPECT_EQ(second_copies, before.empty() ? (std::map<std::string, int>{})
                                            : (std::map<std::string, int>{{"embedding.weight", 1}}));
  }
}

TEST(ParameterLayout, JoinedTensorsAreAdjacent) {
  const ModelSpec model = expand(test::small_model({.grouped = true}, 8));
  const ParameterLayout layout = cut(model, {})[0];
  const auto offset = [&](const char* name) { return find(layout, name)->offset; };
  EXPECT_EQ(offset("layers.0.attention.k.weight") - offset("layers.0.attention.q.weight"), 24 * 12);
  EXPECT_EQ(offset("layers.0.attention.v.weight") - offset("layers.0.attention.k.weight"), 8 * 12);
  EXPECT_EQ(offset("layers.1.mlp.up.weight") - offset("layers.1.mlp.gate.weight"), 20 * 12);
}

TEST(ParameterLayout, TheVocabularyIsPadded) {
  const ModelSpec model = expand(test::small_model({}, 8));
  EXPECT_EQ(find(cut(model, {})[0], "embedding.weight")->local, (Shape{24, 12}));
}

TEST(ParameterLayout, ATiedEmbeddingAcrossStagesHasABucketOfItsOwn) {
  const ModelSpec model = expand(test::small_model(kOptions, 8));
  for (const std::vector<int>& before : std::vector<std::vector<int>>{{3}, {1}, {5}, {1, 5}, {2, 3, 4}}) {
    const std::vector<ParameterLayout> layouts = cut(model, before);
    std::vector<const Bucket*> tied;
    for (const ParameterLayout& layout : layouts)
      for (const Bucket& bucket : layout.buckets())
        if (bucket.tied_across_stages) tied.push_back(&bucket);
    ASSERT_EQ(tied.size(), 2U);  // at the two ends
    const ParameterPlace* first = find(layouts.front(), "embedding.weight");
    const ParameterPlace* last = find(layouts.back(), "embedding.weight");
    ASSERT_TRUE(first != nullptr && last != nullptr);
    EXPECT_FALSE(first->second_copy);
    EXPECT_TRUE(last->second_copy);
    // The same cut of the same size inside the two buckets, with nothing else in them.
    EXPECT_EQ(tied[0]->range.size(), tied[1]->range.size());
    EXPECT_EQ(tied[0], bucket_at(layouts.front(), first->offset));
    EXPECT_EQ(tied[1], bucket_at(layouts.back(), last->offset));
    EXPECT_EQ(first->offset - tied[0]->range.begin, last->offset - tied[1]->range.begin);
    for (const ParameterLayout* end : {&layouts.front(), &layouts.back()})
      for (const ParameterPlace& place : end->places())
        EXPECT_EQ(bucket_at(*end, place.offset)->tied_across_stages, place.spec.name == "embedding.weight");
  }
}

TEST(ParameterLayout, WhereBothEndsLieOnOneRankItIsThereOnce) {
  const ModelSpec model = expand(test::small_model(kOptions, 8));
  const ParameterLayout one = cut(model, {})[0];
  // As of two chunks, the first and the last stage.
  const ParameterLayout two(model, {units_of(model, 0, 2), units_of(model, 4, model.units())}, {});
  for (const ParameterLayout* layout : {&one, &two}) {
    check_cover(*layout);
    int copies = 0;
    for (const ParameterPlace& place : layout->places())
      copies += place.spec.name == "embedding.weight" ? 1 : 0;
    EXPECT_EQ(copies, 1);
    EXPECT_FALSE(find(*layout, "embedding.weight")->second_copy);
    for (const Bucket& bucket : layout->buckets()) EXPECT_FALSE(bucket.tied_across_stages);
  }
}

TEST(ParameterLayout, BucketsAreCutAtUnits) {
  ModelSpec model = expand(test::small_model(kOptions, 8));
  model.vocabulary = 26'000'000 / 12;  // one unit beyond the size that ends a bucket
  const ParameterLayout layout(model, {units_of(model, 0, model.units())}, {}, {}, 25'000'000);
  check_cover(layout);
  ASSERT_EQ(layout.buckets().size(), 2U);
  EXPECT_EQ(layout.buckets()[1].range.begin, find(layout, "layers.0.attention_norm.weight")->offset);
}

std::int64_t bytes_of(const std::vector<SegmentSize>& segments, const std::string& name) {
  for (const SegmentSize& segment : segments)
    if (segment.name == name) return segment.bytes;
  return 0;
}

TEST(ArenaLayout, SegmentsOfParametersByPrecision) {
  const ModelSpec model = expand(test::small_model(kOptions, 8));
  const ParameterLayout layout = cut(model, {})[0];
  MemoryRequest request;
  request.chunks = {{units_of(model, 0, model.units()), {2, 2}, 0}};
  request.batch = {1, 8};
  const std::int64_t n = layout.elements();

  request.precision = {DType::f32, DType::f32};
  std::vector<SegmentSize> segments = arena_layout(model, layout, request);
  EXPECT_EQ(bytes_of(segments, "weights"), aligned(4 * n));
  EXPECT_EQ(bytes_of(segments, "master"), 0);  // the weights themselves
  EXPECT_EQ(bytes_of(segments, "gradients"), aligned(4 * n));
  EXPECT_EQ(bytes_of(segments, "optimizer"), 2 * aligned(4 * n));

  request.precision = {DType::bf16, DType::f32};
  segments = arena_layout(model, layout, request);
  EXPECT_EQ(bytes_of(segments, "weights"), aligned(2 * n));
  EXPECT_EQ(bytes_of(segments, "master"), aligned(4 * n));
  const std::int64_t activations = bytes_of(segments, "activations");

  request.training = false;
  segments = arena_layout(model, layout, request);
  for (const char* name : {"master", "gradients", "optimizer", "communication"})
    EXPECT_EQ(bytes_of(segments, name), 0) << name;

  request.training = true;
  request.chunks[0].slots = {6, 6};
  EXPECT_EQ(bytes_of(arena_layout(model, layout, request), "activations"), 3 * activations);
}

TEST(ArenaLayout, AStageHasTheArraysThatItsUnitsRead) {
  using enum BatchArray;
  using Arrays = std::set<BatchArray>;
  const ModelSpec model = expand(test::small_model(kOptions, 8));
  const auto read = [&](int first, int last) { return batch_arrays(model, units_of(model, first, last)); };
  const int head = model.head_unit();
  EXPECT_EQ(read(0, 1), (Arrays{tokens}));
  EXPECT_EQ(read(0, 2), (Arrays{tokens, position, attention_start, lfa_start}));
  EXPECT_EQ(read(1, head), (Arrays{position, attention_start, lfa_start}));
  EXPECT_EQ(read(head, head + 1), (Arrays{labels}));
  const ModelSpec other = expand(test::small_model({.lfa = false, .dropout = 0.1, .layers = 4}, 8));
  EXPECT_EQ(batch_arrays(other, units_of(other, 1, 2)), (Arrays{position, attention_start, dropout_keys}));

  // Two samples of 8 tokens; a slot has no room for what is not read.
  MemoryRequest request;
  request.batch = {2, 8};
  EXPECT_EQ(micro_batch_bytes({tokens, dropout_keys}, request.batch), aligned(16 * 4) + aligned(4 * 4));
  request.chunks = {{units_of(model, 0, 1), {3, 3}, 0}};
  EXPECT_EQ(bytes_of(arena_layout(model, cut(model, {1})[0], request), "activations"), 3 * aligned(16 * 4));
}

// A layer that another stage sends its input to keeps it in the message's buffer; likewise the gradient.
TEST(ArenaLayout, WhatAStageReceivesIsNotInItsSlots) {
  const ModelSpec model = expand(test::small_model(kOptions, 8));
  MemoryRequest request;
  request.batch = {2, 8};
  const std::int64_t stream = aligned(2 * 8 * 12 * 4);
  const auto slot = [&](const StageUnits& stage, int unit) {
    return unit_slot_bytes(request.site(model, stage, unit), Recompute::none);
  };
  const StageUnits whole = units_of(model, 0, model.units()), middle = units_of(model, 2, 4);
  EXPECT_EQ(slot(whole, 2).slot - slot(middle, 2).slot, stream);
  EXPECT_EQ(slot(whole, 2).delayed_slot, slot(middle, 2).delayed_slot);
  EXPECT_EQ(slot(whole, 3).slot, slot(middle, 3).slot);
  EXPECT_EQ(slot(whole, 3).delayed_slot - slot(middle, 3).delayed_slot, stream);
  EXPECT_EQ(slot(whole, 3).weight_slot, slot(middle, 3).weight_slot);
}

TEST(ArenaLayout, TransferBuffersAndTheTiedExchange) {
  const ModelSpec model = expand(test::small_model(kOptions, 8));
  const ParameterLayout last = cut(model, {3})[1];
  MemoryRequest request;
  request.chunks = {{units_of(model, 3, model.units()), {}, 4}};
  request.batch = {2, 8};
  request.precision = {DType::bf16, DType::f32};
  const std::int64_t embedding = 24 * 12, padded = (embedding + 63) / 64 * 64;
  EXPECT_EQ(bytes_of(arena_layout(model, last, request), "communication"),
            4 * aligned(2 * 8 * 12 * 2) + aligned(padded * 4));
  request.training = false;  // nothing to exchange
  EXPECT_EQ(bytes_of(arena_layout(model, last, request), "communication"), 4 * aligned(2 * 8 * 12 * 2));
}

}  // namespace
}  // namespace headwater
