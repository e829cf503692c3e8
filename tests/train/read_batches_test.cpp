// An engine asks for each micro-batch of a program once, however many chunks of its rank take it.

#include "headwater/backend/cpu_backend.h"
#include "headwater/train/engine.h"

#include "tests/support/models.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

constexpr int kMicroBatches = 5;

RankLayoutRequest request_of(const char* schedule, std::int64_t chunks) {
  RankLayoutRequest request;
  request.model = expand(test::small_model({.layers = 6}, 8));
  request.parallel.pipeline_model_parallel_size = 2;
  request.parallel.pipeline_schedule = schedule;
  request.parallel.num_chunks = chunks;
  request.parallel.pipeline_layout = {false, chunks == 2 ? std::vector<std::int64_t>{1, 2, 2, 1}
                                                         : std::vector<std::int64_t>{1, 1, 1, 1, 1, 1}};
  request.batch = {1, 8};
  request.micro_batches = kMicroBatches;
  request.precision = {DType::f32, DType::f32};
  return request;
}

TEST(ReadBatches, EachOnceForAllChunksOfARank) {
  for (const RankLayoutRequest& request :
       {request_of("interleaved", 2), request_of("interleaved", 3), request_of("zb-v", 2)})
    run_on_threads(2, [&](World& world) {
      const RankLayout layout(request, world.rank(), world.size());
      Engine engine(world, layout, make_cpu_backend({}));
      const std::vector<std::int32_t> tokens(8, 5), labels(8, 7);
      std::vector<int> asked(kMicroBatches, 0);
      const BatchSource source = [&](int m) {
        ++asked.at(static_cast<std::size_t>(m));
        return make_batch(tokens, labels, 1, 8, DocumentOptions{});
      };
      engine.execute(layout.schedule, HeadMode::train, source);
      EXPECT_EQ(asked, std::vector<int>(kMicroBatches, 1)) << layout.schedule.source.name;
      engine.execute(layout.evaluation, HeadMode::evaluate, source);
      EXPECT_EQ(asked, std::vector<int>(kMicroBatches, 2)) << layout.schedule.source.name;
    });
}

}  // namespace
}  // namespace headwater
