// The scratch that units share is as large as the description says: no less would do.

#include "headwater/stage/slot_memory.h"

#include "headwater/base/error.h"

#include "tests/support/models.h"

#include <gtest/gtest.h>

#include <vector>

namespace headwater {
namespace {

// Asks for every pass of every unit on a scratch of `bytes`.
void bind_all(const ModelSpec& model, const MemoryRequest& request, std::int64_t bytes) {
  Arena arena(Device{});
  arena.reserve("scratch", bytes);
  arena.reserve("activations", std::int64_t{1} << 24);
  const TensorView scratch = arena.take("scratch", DType::i32, {bytes / 4});
  for (const ChunkNeeds& chunk : request.chunks) {
    const StageOptions options{request.sharding, request.batch,    request.precision,
                               chunk.slots,      request.training, request.device};
    const SlotMemory memory(model, chunk.units, options, arena, scratch);
    for (int unit = chunk.units.first; unit < chunk.units.last; ++unit) {
      memory.tensors(unit, UnitPass::forward, {});
      if (!request.training) continue;
      if (chunk.slots.whole_backward) memory.tensors(unit, UnitPass::backward, {});
      if (chunk.slots.delayed_slots > 0) memory.tensors(unit, UnitPass::input_gradient, {0, 0, 0});
    }
  }
}

TEST(SlotMemory, TheScratchIsTheLeastThatWillDo) {
  for (const bool lfa : {true, false})
    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full})
      for (const SlotCounts& slots : {SlotCounts{}, SlotCounts{2, 2, 2, false}, SlotCounts{2, 2, 1, true}})
        for (const bool training : {true, false}) {
          ModelConfig config = test::small_model({.lfa = lfa}, 8);
          config.vocab_size = 20000;  // so that the head's blocks are smaller on a CPU
          const ModelSpec model = expand(config);
          MemoryRequest request;
          request.chunks = {{{0, 2, true, false, recompute, 1}, slots, 0},
                            {{2, 4, false, true, recompute, 1}, slots, 0}};
          request.batch = {2, 150};
          request.precision = {DType::bf16, DType::f32};
          request.training = training;
          for (const Device::Kind device : {Device::Kind::cpu, Device::Kind::cuda}) {
            request.device = device;
            const std::int64_t bytes = scratch_bytes(model, request);
            EXPECT_NO_THROW(bind_all(model, request, bytes));
            EXPECT_THROW(bind_all(model, request, bytes - kAlignment), InternalError);
          }
        }
}

}  // namespace
}  // namespace headwater
