// Every op of every backend against the reference catalogue. A backend joins by one line in cpu_backends() or
// cuda_backends().

#include "headwater/backend/cpu_backend.h"
#include "headwater/backend/make_backend.h"
#include "headwater/tensor/arena.h"
#include "tests/backend/op_cases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace headwater::testing {
namespace {

struct BackendUnderTest {
  std::string name;
  Precision precision;
  std::unique_ptr<Backend> (*make)();
};

constexpr Precision kF32{DType::f32, DType::f32}, kBf16{DType::bf16, DType::f32};

std::vector<BackendUnderTest> cpu_backends() {
  return {
      {"cpu_f32", kF32,
       [] {
         return make_cpu_backend({1, false});
       }},
      {"cpu_f32_3_threads", kF32,
       [] {
         return make_cpu_backend({3, false});
       }},
      {"cpu_bf16", kBf16,
       [] {
         return make_cpu_backend({2, false});
       }},
      {"cpu_bf16_widened", kBf16,
       [] {
         return make_cpu_backend({2, true});
       }},
  };
}

std::vector<BackendUnderTest> cuda_backends() {
  if (!built_with_cuda()) return {};
  const auto make = [] { return make_backend({{Device::Kind::cuda, 0}, 1, "rank 0"}); };
  const auto unordered = [] { return make_backend({{Device::Kind::cuda, 0}, 1, "rank 0", false}); };
  return {{"cuda_f32", kF32, make}, {"cuda_bf16", kBf16, make}, {"cuda_bf16_unordered", kBf16, unordered}};
}

struct OpOfBackend {
  BackendUnderTest backend;
  OpCases cases;
};

std::ostream& operator<<(std::ostream& out, const OpOfBackend& o) {
  return out << o.backend.name << " " << o.cases.op;
}

std::vector<OpOfBackend> ops_of_backends() {
  std::vector<OpOfBackend> all;
  for (const std::vector<BackendUnderTest>& backends : {cpu_backends(), cuda_backends()})
    for (const BackendUnderTest& backend : backends)
      for (const OpCases& cases : all_ops()) all.push_back({backend, cases});
  return all;
}

// The ops of the catalogue, in its order.
std::vector<std::string> catalogue() {
  std::vector<std::string> names;
#define HEADWATER_NAME(Op) names.emplace_back(op::Op::kName);
  HEADWATER_OPS(HEADWATER_NAME)
#undef HEADWATER_NAME
  return names;
}

TEST(OpCases, EveryOpOfTheCatalogueHasSome) {
  std::vector<std::string> named = catalogue(), tested;
  for (const OpCases& cases : all_ops()) {
    tested.emplace_back(cases.op);
    const std::vector<OpCase> of_op = cases.make(kF32);
    EXPECT_FALSE(of_op.empty()) << cases.op;
    for (const OpCase& op_case : of_op)
      EXPECT_EQ(catalogue_name(op_case.op), std::string(cases.op)) << op_case.name;
  }
  std::sort(named.begin(), named.end());
  std::sort(tested.begin(), tested.end());
  EXPECT_EQ(named, tested);
}

class Ops : public ::testing::TestWithParam<OpOfBackend> {};

void for_each_case(const OpOfBackend& param, const std::function<void(Backend&, const OpCase&)>& body) {
  const std::unique_ptr<Backend> backend = param.backend.make();
  constexpr std::int64_t kWorkspace = 16 << 20;
  Arena arena(backend->device());
  arena.reserve("workspace", kWorkspace);
  backend->use_workspace(arena.take("workspace", DType::i32, {kWorkspace / 4}));
  for (const OpCase& op_case : param.cases.make(param.backend.precision)) body(*backend, op_case);
}

TEST_P(Ops, AgreeWithTheReference) { for_each_case(GetParam(), expect_same_as_reference); }

TEST_P(Ops, ShowANaN) {
  int looked_at = 0;
  for_each_case(GetParam(), [&](Backend& backend, const OpCase& op_case) {
    looked_at += expect_nan_shows(backend, op_case);
  });
  const bool reads = GetParam().cases.op != std::string(op::Zero::kName);
  EXPECT_EQ(looked_at > 0, reads);
}

INSTANTIATE_TEST_SUITE_P(, Ops, ::testing::ValuesIn(ops_of_backends()), [](const auto& name) {
  return name.param.backend.name + "_" + name.param.cases.op;
});

}  // namespace
}  // namespace headwater::testing
