// Cross-entropy and the end of a step.

#include "tests/backend/op_cases.h"
#include "tests/reference/reference_backend.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace headwater::testing {
namespace {

struct LossCase {
  std::int64_t rows, columns, valid, first, gap;
};

constexpr LossCase kLossCases[] = {
    {1, 1, 1, 0, 0}, {3, 17, 17, 0, 0}, {5, 128, 100, 0, 4}, {7, 300, 300, 300, 3}, {40, 513, 511, 0, 0}};

std::string describe(const LossCase& l, Role logits) {
  return fmt::format("[{}, {}] valid {} first {} gap {}{}", l.rows, l.columns, l.valid, l.first, l.gap,
                     logits == Role::compute ? "" : ", accumulate dtype");
}

// Every third is masked; where the vocabulary is a shard, some labels lie outside it.
std::size_t labels(OpCase& c, const LossCase& l) {
  std::vector<double> all;
  for (std::int64_t row = 0; row < l.rows; ++row) {
    const std::int64_t outside = l.first > 0 ? 20 : 0;
    all.push_back(row % 3 == 2
                      ? -1.0
                      : static_cast<double>(c.integer(l.first - outside, l.first + l.valid - 1 + outside)));
  }
  return c.values("labels", Role::index, {l.rows}, all);
}

OpCase statistics_case(const LossCase& l, Role role, Precision p) {
  OpCase c("softmax_statistics", describe(l, role), p);
  const auto label = labels(c, l);
  c.gap = l.gap;
  const auto logits = c.input("logits", role, {l.rows, l.columns}, 20.0);
  c.gap = 0;
  const auto statistics = c.output("statistics", Role::accumulate, {l.rows, 3},
                                   {.units = 1.0, .terms = static_cast<double>(l.columns)});
  c.run = [=](Backend& backend, const Views& v) {
    backend.softmax_statistics(v[logits], v[label], l.first, l.valid, v[statistics]);
  };
  return c;
}

std::vector<OpCase> softmax_statistics_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const LossCase& l : kLossCases)
    for (const Role role : {Role::compute, Role::accumulate}) cases.push_back(statistics_case(l, role, p));
  return cases;
}

// Shards as softmax_statistics leaves them; the last one holds nothing but padding.
std::vector<OpCase> combine_statistics_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const auto& [rows, shards] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {7, 2}, {65, 3}, {64, 8}}) {
    OpCase c("combine_statistics", fmt::format("{} rows of {} shards", rows, shards), p);
    std::vector<double> all;
    for (std::int64_t i = 0; i < shards * rows; ++i) {
      const bool padding = shards > 2 && i >= (shards - 1) * rows;
      const bool holds_label = !padding && i / rows == i % rows % shards;
      all.push_back(padding ? -std::numeric_limits<double>::infinity() : c.uniform(-30.0, 30.0));
      all.push_back(padding ? 0.0 : c.uniform(1.0, 100.0));
      all.push_back(holds_label ? c.uniform(-30.0, 30.0) : 0.0);
    }
    const auto parts = c.values("shards", Role::accumulate, {shards * rows, 3}, all);
    // An exponential of up to 60 magnifies the rounding of its argument.
    const auto statistics =
        c.output("statistics", Role::accumulate, {rows, 3}, {.units = 64.0, .terms = 1.0});
    c.run = [=](Backend& backend, const Views& v) { backend.combine_statistics(v[parts], v[statistics]); };
    cases.push_back(std::move(c));
  }
  return cases;
}

std::vector<double> step_scalars(std::initializer_list<std::pair<StepScalar, double>> set) {
  std::vector<double> scalars(static_cast<std::size_t>(kStepScalars), 0.5);
  for (const auto& [which, value] : set) scalars[static_cast<std::size_t>(which)] = value;
  return scalars;
}

std::vector<OpCase> cross_entropy_cases(Precision p, bool backward) {
  std::vector<OpCase> cases;
  for (const LossCase& l : kLossCases)
    for (const Role role : {Role::compute, Role::accumulate}) {
      ReferenceBackend reference;
      const auto saved = run_on(reference, statistics_case(l, role, p), {DType::f64, DType::f64});
      OpCase c(backward ? "cross_entropy_backward" : "cross_entropy_loss", describe(l, role), p);
      const auto label = labels(c, l);
      const auto statistics = c.values("statistics", Role::accumulate, {l.rows, 3}, saved.back());
      const double targets = 17.0;
      const auto scalars = c.updated(
          c.values("scalars", Role::f64, {kStepScalars}, step_scalars({{StepScalar::targets, targets}})),
          {.units = 64.0});
      c.gap = l.gap;
      auto logits = c.input("logits", role, {l.rows, l.columns}, 20.0);
      if (backward) c.updated(logits, {.units = 0.5, .terms = 1.0, .floor = 1.0 / targets});
      c.run = [=](Backend& backend, const Views& v) {
        if (backward)
          backend.cross_entropy_backward(v[logits], v[label], l.first, l.valid, v[statistics], v[scalars]);
        else
          backend.cross_entropy_loss(v[label], v[statistics], v[scalars]);
      };
      cases.push_back(std::move(c));
    }
  return cases;
}

std::vector<OpCase> cross_entropy_backward_cases(Precision p) { return cross_entropy_cases(p, true); }
std::vector<OpCase> cross_entropy_loss_cases(Precision p) { return cross_entropy_cases(p, false); }

std::vector<OpCase> add_squared_norm_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const std::int64_t count : {1, 3, 100, 4099}) {
    OpCase c("add_squared_norm", fmt::format("{} elements", count), p);
    const auto x = c.input("x", Role::accumulate, {count});
    const auto sum = c.updated(c.values("sum", Role::f64, {1}, {0.25}), {.units = 64.0});
    c.run = [=](Backend& backend, const Views& v) { backend.add_squared_norm(v[x], v[sum]); };
    cases.push_back(std::move(c));
  }
  return cases;
}

std::vector<OpCase> decide_step_cases(Precision p) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  struct Decision {
    double clip, loss, norm_squared;
  };
  std::vector<OpCase> cases;
  for (const Decision& d : {Decision{1.0, 5.0, 16.0},
                            {1.0, 5.0, 0.25},
                            {0.0, 5.0, 16.0},
                            {1.0, kInfinity, 16.0},
                            {1.0, 5.0, kInfinity},
                            {2.0, 0.0, 0.0}}) {
    OpCase c("decide_step", fmt::format("clip {} loss {} norm² {}", d.clip, d.loss, d.norm_squared), p);
    const auto scalars = c.updated(c.values("scalars", Role::f64, {kStepScalars},
                                            step_scalars({{StepScalar::loss_sum, d.loss},
                                                          {StepScalar::norm_squared, d.norm_squared},
                                                          {StepScalar::updates, 3.0}})));
    c.run = [=](Backend& backend, const Views& v) { backend.decide_step(d.clip, v[scalars]); };
    cases.push_back(std::move(c));
  }
  return cases;
}

struct AdamCase {
  std::int64_t count;
  double updates, clip_factor, apply, decay;
  bool weight_is_master;
};

std::vector<OpCase> adamw_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const AdamCase& a : {AdamCase{1, 1, 1.0, 1.0, 0.1, false},
                            {100, 7, 0.3, 1.0, 0.0, false},
                            {4099, 1000, 1.0, 1.0, 0.1, false},
                            {33, 7, 0.3, 0.0, 0.1, false},
                            {33, 7, 0.3, 1.0, 0.1, true}}) {
    OpCase c("adamw",
             fmt::format("{} elements, update {}, clip {}, apply {}, decay {}{}", a.count, a.updates,
                         a.clip_factor, a.apply, a.decay, a.weight_is_master ? ", in place" : ""),
             p);
    const Tolerance tolerance{.units = 2.0};
    const auto master = c.updated(c.input("master", Role::accumulate, {a.count}), tolerance);
    const auto gradient = c.input("gradient", Role::accumulate, {a.count});
    const auto m = c.updated(c.input("first moment", Role::accumulate, {a.count}, 0.1), tolerance);
    auto squares = c.operands[gradient].values;
    for (double& square : squares) square = 0.5 * square * square + 0.01;
    const auto v2 = c.updated(c.values("second moment", Role::accumulate, {a.count}, squares), tolerance);
    const auto weight = c.updated(c.input("weight", Role::compute, {a.count}), tolerance);
    const auto scalars = c.values("scalars", Role::f64, {kStepScalars},
                                  step_scalars({{StepScalar::learning_rate, 0.01},
                                                {StepScalar::updates, a.updates},
                                                {StepScalar::clip_factor, a.clip_factor},
                                                {StepScalar::apply, a.apply}}));
    c.run = [=](Backend& backend, const Views& v) {
      AdamWArgs args;
      args.master = v[master];
      args.gradient = v[gradient];
      args.first_moment = v[m];
      args.second_moment = v[v2];
      args.weight = a.weight_is_master ? v[master] : v[weight];
      args.weight_decay = a.decay;
      backend.adamw(args, v[scalars]);
    };
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace

std::vector<OpCases> training_ops() {
  return {{"softmax_statistics", softmax_statistics_cases},
          {"combine_statistics", combine_statistics_cases},
          {"cross_entropy_backward", cross_entropy_backward_cases},
          {"cross_entropy_loss", cross_entropy_loss_cases},
          {"add_squared_norm", add_squared_norm_cases},
          {"decide_step", decide_step_cases},
          {"adamw", adamw_cases}};
}

}  // namespace headwater::testing
