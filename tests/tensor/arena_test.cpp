#include "headwater/tensor/arena.h"

#include "headwater/tensor/queue.h"

#include <gtest/gtest.h>

#include <limits>

namespace headwater {
namespace {

TEST(Arena, PiecesAreAlignedApartAndZero) {
  Arena arena(Device{});
  arena.reserve("weights", aligned(3 * 5 * 4) + aligned(7 * 2));
  const TensorView first = arena.take("weights", DType::f32, {3, 5});
  const TensorView second = arena.take("weights", DType::bf16, {7});
  for (const TensorView& view : {first, second})
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.data) % kAlignment, 0U);
  EXPECT_EQ(static_cast<std::byte*>(second.data) - static_cast<std::byte*>(first.data), aligned(60));
  EXPECT_EQ(first.shape, (Shape{3, 5}));
  EXPECT_EQ(second.dtype, DType::bf16);
  EXPECT_EQ(second.device, Device{});
  for (int i = 0; i < 15; ++i) EXPECT_EQ(first.as<float>()[i], 0.0F);
}

TEST(Arena, OverflowIsABugThatNamesTheSegment) {
  Arena arena(Device{});
  arena.reserve("workspace", 1024);
  arena.take("workspace", DType::f32, {192});
  EXPECT_NO_THROW(arena.take("workspace", DType::f32, {0, 8}));
  try {
    arena.take("workspace", DType::f32, {65});
    FAIL() << "260 bytes fit into the 256 that are left";
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find("workspace: f32 of [65]"), std::string::npos) << error.what();
  }
  EXPECT_NO_THROW(arena.take("workspace", DType::f32, {64}));
  EXPECT_THROW(arena.take("workspace", DType::f32, {1}), InternalError);
}

TEST(Arena, SaysWhatWasTaken) {
  Arena arena(Device{});
  arena.reserve("a", 4096);
  arena.reserve("b", 256);
  arena.take("a", DType::f64, {300});
  const auto segments = arena.segments();
  ASSERT_EQ(segments.size(), 2U);
  EXPECT_EQ(segments[0].name, "a");
  EXPECT_EQ(segments[0].reserved, 4096);
  EXPECT_EQ(segments[0].taken, 2560);
  EXPECT_EQ(segments[1].name, "b");
  EXPECT_EQ(segments[1].taken, 0);
}

TEST(Arena, WrongUseIsABug) {
  Arena arena(Device{});
  arena.reserve("a", 0);
  EXPECT_THROW(arena.reserve("a", 16), InternalError);
  EXPECT_THROW(arena.reserve("b", -1), InternalError);
  EXPECT_THROW(arena.take("c", DType::f32, {1}), InternalError);
}

TEST(Arena, MoreThanTheSystemHasIsRefusedByNameAndSize) {
  Arena arena(Device{});
  const std::int64_t bytes = std::int64_t{1} << 62;
  arena.reserve("optimizer", bytes);
  try {
    arena.take("optimizer", DType::f32, {1});
    FAIL() << "4 EiB were granted";
  } catch (const SystemError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("optimizer"), std::string::npos) << message;
    EXPECT_NE(message.find("4611686018427387904 bytes"), std::string::npos) << message;
  }
}

TEST(Queue, TheCpuQueueIsDoneAtOnceAndWaitsForEvents) {
  struct State final : EventState {
    int waits = 0;
    bool done() const override { return waits > 0; }
    void wait() override { ++waits; }
  };
  const auto state = std::make_shared<State>();
  const Event event(state);
  CpuQueue queue;
  EXPECT_TRUE(Event().done());
  EXPECT_TRUE(queue.record().done());
  EXPECT_FALSE(event.done());
  queue.wait(event);
  EXPECT_EQ(state->waits, 1);
  EXPECT_TRUE(event.done());
}

}  // namespace
}  // namespace headwater
