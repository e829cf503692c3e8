#include "headwater/bench/bench_matmul.h"

#include "headwater/backend/make_backend.h"
#include "headwater/base/bytes.h"

#include "random_training.h"

namespace headwater {
namespace {

// Joins the products of all ranks. Where several ranks timed the same product, the lowest rank's figures
// hold.
MatmulAlgorithms over_ranks(Communicator& ranks, const MatmulAlgorithms& mine) {
  MatmulAlgorithms all = mine;
  all.products.clear();
  const std::string text = text_of(mine);
  for (const std::vector<std::byte>& bytes : gather_bytes(ranks, as_bytes(text))) {
    MatmulAlgorithms theirs = parse_matmul_algorithms(std::string(as_text(bytes)), "a rank");
    if (theirs.device != mine.device || theirs.cublaslt != mine.cublaslt)
      throw UserError(
          "ranks compute on {} with cuBLASLt {} and on {} with cuBLASLt {}: bench matmul measures one kind "
          "at a time",
          mine.device, mine.cublaslt, theirs.device, theirs.cublaslt);
    all.products.merge(theirs.products);
  }
  return all;
}

}  // namespace

MatmulAlgorithms bench_matmul(World& world, const RunConfig& run) {
  RunSettings settings = choose_settings(run.training, world);
  if (settings.device.kind != Device::Kind::cuda)
    throw UserError(
        "bench matmul times algorithms of cuBLASLt, and this run has no GPUs (training.device {})",
        run.training.device);
  settings.matmul_algorithms.clear();
  RandomTraining training(world, run, settings);
  training.step();
  return over_ranks(training.ranks(), fastest_matmuls(training.backend().inner()));
}

}  // namespace headwater
