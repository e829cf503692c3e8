// What the paper rests on, with ranks that are threads of two hosts: over a slow link tensor parallelism
// stands still and a pipeline goes on. scripts/low_bandwidth.sh does the same with network namespaces.

#include "tests/train/training_run.h"

#include <algorithm>
#include <limits>

namespace headwater {
namespace {

using test::Layout;

constexpr int kSteps = 2;
// Of a step of 4 micro-batches of 40 tokens, each rank sends to the other:
// tensor 2: in each of 4 layers 3 sums of [40, 48] fp32 forward and 3 backward, for a half that the other
// sums and a half that it has summed itself;
constexpr double kTensorBytes = 4.0 * 4 * 6 * 40 * 48 * 4;
// pipeline 2: one [40, 48] per micro-batch and direction.
constexpr double kPipelineBytes = 4.0 * 40 * 48 * 4;
// Bytes per second: over slow links what tensor ranks send takes a second.
constexpr double kSlow = kTensorBytes, kFast = 1e9;

const Layout kTensor{"tensor 2", 2, {"parallel.tensor_model_parallel_size=2"}};
const Layout kPipeline = test::pipeline("pipeline 2", 2, 2, "[3,1]");

test::TrainingRun train(const Layout& layout, double bytes_per_second) {
  return test::train(layout, kSteps, {"model.untie_embeddings_and_output_weights=true"},
                     {.ranks_per_host = 1, .bytes_per_second = bytes_per_second, .latency_seconds = 1e-4});
}

// A layout's steps over both networks. Other programs on the machine make steps longer, never shorter: of
// each kind the shortest counts that was ever measured.
struct Measured {
  double slow = std::numeric_limits<double>::infinity(), fast = slow;

  test::Curve measure(const Layout& layout) {
    const test::TrainingRun over_slow = train(layout, kSlow);
    slow = std::min(slow, over_slow.step_seconds);
    fast = std::min(fast, train(layout, kFast).step_seconds);
    return over_slow.curve;
  }
  double slower() const { return slow - fast; }
};

TEST(LowBandwidth, TensorParallelismSlowsAndThePipelineDoesNot) {
  constexpr int kMeasurements = 6;
  Measured tensor, pipeline;
  for (int i = 0; i < kMeasurements && !(tensor.slower() > 4.0 * pipeline.slower()); ++i) {
    // Late data are the same data.
    const test::Curve curve = tensor.measure(kTensor);
    test::expect_equal_curves(curve, pipeline.measure(kPipeline), "tensor 2 and pipeline 2");
  }
  EXPECT_GE(tensor.slow, 1.0);
  // Two transfers of the pipeline cannot hide behind others; all of them, one after the other, take a twelfth
  // of a second.
  EXPECT_GE(pipeline.slow, 2.0 / 4.0 * kPipelineBytes / kSlow);
  EXPECT_GT(tensor.slower(), 4.0 * pipeline.slower());
}

}  // namespace
}  // namespace headwater
