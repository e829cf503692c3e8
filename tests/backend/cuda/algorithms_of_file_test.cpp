// With a file of algorithms each product is made by the one that the file names for it, and a file of another
// machine is refused.

#include "headwater/backend/make_backend.h"
#include "headwater/base/error.h"
#include "headwater/tensor/arena.h"
#include "tests/support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <vector>

namespace headwater {
namespace {

class AlgorithmsOfFile : public ::testing::Test {
 protected:
  void SetUp() override {
    const Made made = make(*backend(""));
    rule_ = made.product;
    measured_ = made.fastest;
  }

  std::unique_ptr<Backend> backend(const std::string& file) const {
    BackendOptions options;
    options.device = {Device::Kind::cuda, 0};
    options.matmul_algorithms = file;
    return make_backend(options);
  }

  struct Made {
    std::vector<float> product;
    MatmulAlgorithms fastest;
  };

  // One product of numbers whose sum depends on its order.
  static Made make(Backend& backend) {
    constexpr std::int64_t kWorkspace = 1 << 20, kRows = 6, kColumns = 301;
    Arena arena(backend.device());
    arena.reserve("all", kWorkspace + 16384);
    backend.use_workspace(arena.take("all", DType::i32, {kWorkspace / 4}));
    const TensorView x = arena.take("all", DType::f32, {kRows, kColumns}),
                     y = arena.take("all", DType::f32, {kRows, kRows});
    std::vector<float> host;
    for (std::int64_t i = 0; i < x.elements(); ++i) host.push_back(1.0F / static_cast<float>(1 + i * 7 % 97));
    backend.to_device(TensorView(host.data(), DType::f32, x.shape), x);
    backend.run(op::Linear{x, x, y});
    Made made{std::vector<float>(kRows * kRows), {}};
    backend.to_host(y, TensorView(made.product.data(), DType::f32, y.shape));
    made.fastest = fastest_matmuls(backend);
    return made;
  }
  std::vector<float> product(const std::string& file) const { return make(*backend(file)).product; }

  std::string write(const MatmulAlgorithms& algorithms) const {
    const Path file = folder_ / "algorithms.json";
    write_text_atomically(file, text_of(algorithms));
    return file.string();
  }

  TemporaryFolder folder_;
  std::vector<float> rule_;
  MatmulAlgorithms measured_;
};

TEST_F(AlgorithmsOfFile, MakeTheProductsThatItNames) {
  ASSERT_EQ(measured_.products.size(), 1U);
  EXPECT_GT(measured_.products.begin()->second.candidates, 0);
  const std::string file = write(measured_);
  const std::vector<float> first = product(file);
  EXPECT_EQ(product(file), first);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_NEAR(first[i], rule_[i], 1e-4F * rule_[i]);
}

// The emulation's algorithms differ in the order of their sums, and carry their number in their fourth word.
TEST_F(AlgorithmsOfFile, ChangeTheBits) {
  EXPECT_EQ(measured_.products.begin()->second.candidates, 3);
  std::vector<std::vector<float>> results;
  for (int number = 0; number < 3; ++number) {
    MatmulAlgorithms chosen = measured_;
    chosen.products.begin()->second.algorithm.replace(48, 16, fmt::format("{:016x}", number));
    results.push_back(product(write(chosen)));
  }
  EXPECT_EQ(results[0], rule_);
  EXPECT_NE(results[1], rule_);
  EXPECT_NE(results[2], rule_);
  EXPECT_NE(results[1], results[2]);
}

TEST_F(AlgorithmsOfFile, AProductThatIsNotThereGoesByTheRule) {
  MatmulAlgorithms none = measured_;
  none.products.clear();
  EXPECT_EQ(product(write(none)), rule_);
}

TEST_F(AlgorithmsOfFile, OfAnotherMachineAreRefused) {
  const auto expect_refused = [&](const MatmulAlgorithms& algorithms, const std::string& words) {
    const std::string file = write(algorithms);
    try {
      product(file);
      ADD_FAILURE() << words;
    } catch (const UserError& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  };
  MatmulAlgorithms other = measured_;
  other.device = "another GPU, compute capability 9.0";
  expect_refused(other, "was measured on another GPU, compute capability 9.0, but cuda:0 is ");
  other = measured_;
  ++other.cublaslt;
  expect_refused(other, fmt::format("was measured with cuBLASLt {}, but this is cuBLASLt {}", other.cublaslt,
                                    measured_.cublaslt));
  other = measured_;
  other.products.begin()->second.algorithm = std::string(128, 'f');
  expect_refused(other, "cuBLASLt refuses the algorithm for ");
}

}  // namespace
}  // namespace headwater
