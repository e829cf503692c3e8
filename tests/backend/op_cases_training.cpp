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
TensorView labels(OpCase& c, const LossCase& l) {
  std::vector<double> all;
  for (std::int64_t row = 0; row < l.rows; ++row) {
    const std::int64_t outside = l.first > 0 ? 20 : 0;
    all.push_back(row % 3 == 2
                      ? -1.0
                      : static_cast<double>(c.integer(l.first - outside, l.first + l.valid - 1 + outside)));
  }
  return c.values(Role::index, {l.rows}, all);
}

OpCase statistics_case(const LossCase& l, Role role, Precision p) {
  OpCase c(describe(l, role), p);
  op::SoftmaxStatistics o;
  o.labels = labels(c, l);
  o.first = l.first;
  o.valid = l.valid;
  c.gap = l.gap;
  o.logits = c.input(role, {l.rows, l.columns}, 20.0);
  c.gap = 0;
  o.statistics =
      c.output(Role::accumulate, {l.rows, 3}, {.units = 1.0, .terms = static_cast<double>(l.columns)});
  c.set_op(o);
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
    OpCase c(fmt::format("{} rows of {} shards", rows, shards), p);
    std::vector<double> all;
    for (std::int64_t i = 0; i < shards * rows; ++i) {
      const bool padding = shards > 2 && i >= (shards - 1) * rows;
      const bool holds_label = !padding && i / rows == i % rows % shards;
      all.push_back(padding ? -std::numeric_limits<double>::infinity() : c.uniform(-30.0, 30.0));
      all.push_back(padding ? 0.0 : c.uniform(1.0, 100.0));
      all.push_back(holds_label ? c.uniform(-30.0, 30.0) : 0.0);
    }
    c.set_op(op::CombineStatistics{
        .shards = c.values(Role::accumulate, {shards * rows, 3}, all),
        // An exponential of up to 60 magnifies the rounding of its argument.
        .statistics = c.output(Role::accumulate, {rows, 3}, {.units = 64.0, .terms = 1.0}),
    });
    cases.push_back(std::move(c));
  }
  return cases;
}

std::vector<double> step_scalars(std::initializer_list<std::pair<StepScalar, double>> set) {
  std::vector<double> scalars(static_cast<std::size_t>(kStepScalars), 0.5);
  for (const auto& [which, value] : set) scalars[static_cast<std::size_t>(which)] = value;
  return scalars;
}

constexpr double kTargets = 17.0;

// On the statistics that the reference takes of random logits.
op::CrossEntropyLoss loss(OpCase& c, const LossCase& l, Role role) {
  ReferenceBackend reference;
  const OpCase statistics = statistics_case(l, role, c.precision);
  const auto saved = run_on(reference, statistics, {DType::f64, DType::f64});
  const std::size_t number = number_of(std::get<op::SoftmaxStatistics>(statistics.op).statistics);
  return {
      .labels = labels(c, l),
      .statistics = c.values(Role::accumulate, {l.rows, 3}, saved[number]),
      .scalars = c.values(Role::f64, {kStepScalars}, step_scalars({{StepScalar::targets, kTargets}}),
                          {.units = 64.0}),
  };
}

std::vector<OpCase> cross_entropy_loss_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const LossCase& l : kLossCases)
    for (const Role role : {Role::compute, Role::accumulate}) {
      OpCase c(describe(l, role), p);
      c.set_op(loss(c, l, role));
      cases.push_back(std::move(c));
    }
  return cases;
}

std::vector<OpCase> cross_entropy_backward_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const LossCase& l : kLossCases)
    for (const Role role : {Role::compute, Role::accumulate}) {
      OpCase c(describe(l, role), p);
      const op::CrossEntropyLoss forward = loss(c, l, role);
      c.gap = l.gap;
      c.set_op(op::CrossEntropyBackward{
          .logits = c.updated(role, {l.rows, l.columns},
                              {.units = 0.5, .terms = 1.0, .floor = 1.0 / kTargets}, 20.0),
          .labels = forward.labels,
          .first = l.first,
          .valid = l.valid,
          .statistics = forward.statistics,
          .scalars = forward.scalars,
      });
      cases.push_back(std::move(c));
    }
  return cases;
}

std::vector<OpCase> add_squared_norm_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const std::int64_t count : {1, 3, 100, 4099}) {
    OpCase c(fmt::format("{} elements", count), p);
    c.set_op(op::AddSquaredNorm{
        .x = c.input(Role::accumulate, {count}),
        .sum = c.values(Role::f64, {1}, {0.25}, {.units = 64.0}),
    });
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
    OpCase c(fmt::format("clip {} loss {} norm² {}", d.clip, d.loss, d.norm_squared), p);
    c.set_op(op::DecideStep{
        .clip = d.clip,
        .scalars = c.values(Role::f64, {kStepScalars},
                            step_scalars({{StepScalar::loss_sum, d.loss},
                                          {StepScalar::norm_squared, d.norm_squared},
                                          {StepScalar::updates, 3.0}})),
    });
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
    OpCase c(fmt::format("{} elements, update {}, clip {}, apply {}, decay {}{}", a.count, a.updates,
                         a.clip_factor, a.apply, a.decay, a.weight_is_master ? ", in place" : ""),
             p);
    const Tolerance tolerance{.units = 2.0};
    op::AdamW o;
    o.master = c.updated(Role::accumulate, {a.count}, tolerance);
    o.gradient = c.input(Role::accumulate, {a.count});
    o.first_moment = c.updated(Role::accumulate, {a.count}, tolerance, 0.1);
    auto squares = c.operands[number_of(o.gradient)].values;
    for (double& square : squares) square = 0.5 * square * square + 0.01;
    o.second_moment = c.values(Role::accumulate, {a.count}, squares, tolerance);
    o.weight = a.weight_is_master ? o.master : c.updated(Role::compute, {a.count}, tolerance);
    o.weight_decay = a.decay;
    o.scalars = c.values(Role::f64, {kStepScalars},
                         step_scalars({{StepScalar::learning_rate, 0.01},
                                       {StepScalar::updates, a.updates},
                                       {StepScalar::clip_factor, a.clip_factor},
                                       {StepScalar::apply, a.apply}}));
    c.set_op(o);
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace

std::vector<OpCases> training_ops() {
  return {{op::SoftmaxStatistics::kName, softmax_statistics_cases},
          {op::CombineStatistics::kName, combine_statistics_cases},
          {op::CrossEntropyBackward::kName, cross_entropy_backward_cases},
          {op::CrossEntropyLoss::kName, cross_entropy_loss_cases},
          {op::AddSquaredNorm::kName, add_squared_norm_cases},
          {op::DecideStep::kName, decide_step_cases},
          {op::AdamW::kName, adamw_cases}};
}

}  // namespace headwater::testing
