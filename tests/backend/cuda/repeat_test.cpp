// What a backend is given to repeat computes what it says, whether it is called or a graph of it is launched.

#include "headwater/backend/make_backend.h"
#include "headwater/base/error.h"
#include "headwater/tensor/arena.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace headwater {
namespace {

constexpr std::int64_t kWorkspace = 1 << 20, kRows = 5, kColumns = 7;

class Repeat : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    BackendOptions options;
    options.device = {Device::Kind::cuda, 0};
    options.graphs = GetParam();
    backend_ = make_backend(options);
    arena_.emplace(backend_->device());
    arena_->reserve("all", kWorkspace + 4096);
    backend_->use_workspace(arena_->take("all", DType::i32, {kWorkspace / 4}));
    x_ = arena_->take("all", DType::f32, {kRows, kColumns});
    weight_ = arena_->take("all", DType::f32, {kRows, kColumns});
    y_ = arena_->take("all", DType::f32, {kRows, kRows});
    set(weight_, 2.0F);
  }

  void set(TensorView view, float value) {
    std::vector<float> host(static_cast<std::size_t>(view.elements()), value);
    backend_->to_device(TensorView(host.data(), DType::f32, view.shape), view);
  }
  std::vector<float> values(TensorView view) {
    std::vector<float> host(static_cast<std::size_t>(view.elements()));
    backend_->to_host(view, TensorView(host.data(), DType::f32, view.shape));
    return host;
  }

  std::unique_ptr<Backend> backend_;
  std::optional<Arena> arena_;
  TensorView x_, weight_, y_;
};

TEST_P(Repeat, ReadsMemoryAnewEachTime) {
  int calls = 0;
  for (int i = 1; i <= 5; ++i) {
    set(x_, static_cast<float>(i));
    backend_->repeat(7, [&] {
      ++calls;
      backend_->run(op::Linear{x_, weight_, y_});  // 2 · 7 · i
      backend_->run(op::Add{y_, y_});
    });
    EXPECT_EQ(values(y_), std::vector<float>(kRows * kRows, 28.0F * static_cast<float>(i)));
  }
  EXPECT_EQ(calls, GetParam() ? 2 : 5);  // as it is, captured; then replayed
}

TEST_P(Repeat, KeysAreApart) {
  for (int i = 0; i < 4; ++i) {
    set(x_, 0.0F);
    backend_->repeat(1, [&] { backend_->run(op::Copy{weight_, x_}); });
    EXPECT_EQ(values(x_).front(), 2.0F);
    backend_->repeat(2, [&] { backend_->run(op::Zero{x_}); });
    EXPECT_EQ(values(x_).front(), 0.0F);
  }
}

TEST_P(Repeat, AnErrorLeavesTheStreamUsable) {
  backend_->repeat(1, [&] { backend_->run(op::Zero{x_}); });
  // [5, 5] into [5, 7]
  EXPECT_THROW(backend_->repeat(1, [&] { backend_->run(op::Linear{x_, x_, x_}); }), InternalError);
  set(x_, 3.0F);
  EXPECT_EQ(values(x_).front(), 3.0F);
}

INSTANTIATE_TEST_SUITE_P(, Repeat, ::testing::Bool(),
                         [](const auto& graphs) { return graphs.param ? "graphs" : "calls"; });

}  // namespace
}  // namespace headwater
