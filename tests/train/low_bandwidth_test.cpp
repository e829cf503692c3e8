// What the paper rests on, with ranks that are threads of two hosts: over a slow link tensor parallelism
// stands still and a pipeline goes on. scripts/low_bandwidth.sh does the same with network namespaces.

#include "tests/train/training_run.h"

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

const Layout kTensor{"tensor 2", 2, {"parallel.tensor_model_parallel_size=2"}};
const Layout kPipeline = test::pipeline("pipeline 2", 2, 2, "[3,1]");

test::TrainingRun train(const Layout& layout, double bytes_per_second) {
  return test::train(layout, kSteps, {"model.untie_embeddings_and_output_weights=true"},
                     {.ranks_per_host = 1, .bytes_per_second = bytes_per_second, .latency_seconds = 1e-4});
}

TEST(LowBandwidth, TensorParallelismSlowsAndThePipelineDoesNot) {
  constexpr double kSlow = kTensorBytes;  // a second for what tensor ranks send
  const double fast = 1e9;
  const test::TrainingRun tensor = train(kTensor, kSlow), pipeline = train(kPipeline, kSlow);
  EXPECT_GE(tensor.step_seconds, 1.0);
  // Two transfers of the pipeline cannot hide behind others; all of them, one after the other, take a twelfth
  // of a second.
  EXPECT_GE(pipeline.step_seconds, 2.0 / 4.0 * kPipelineBytes / kSlow);
  const double tensor_slows = tensor.step_seconds - train(kTensor, fast).step_seconds;
  const double pipeline_slows = pipeline.step_seconds - train(kPipeline, fast).step_seconds;
  EXPECT_GT(tensor_slows, 4.0 * pipeline_slows);
  // Late data are the same data.
  test::expect_equal_curves(tensor.curve, pipeline.curve, "tensor 2 and pipeline 2");
}

}  // namespace
}  // namespace headwater
