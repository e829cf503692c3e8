// zero, copy, add.

#include "tests/backend/op_cases.h"

#include <fmt/format.h>

namespace headwater::testing {
namespace {

std::vector<OpCase> zero_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const std::int64_t gap : {0, 3}) {
    OpCase c(fmt::format("gap {}", gap), p);
    c.gap = gap;
    c.set_op(op::Zero{c.updated(Role::compute, {7, 33})});
    cases.push_back(std::move(c));
  }
  for (const Role role : {Role::accumulate, Role::f64, Role::index}) {
    OpCase c(fmt::format("one element of {}", name_of(dtype_for(role, p))), p);
    c.set_op(op::Zero{c.updated(role, {1}, {}, 100.0)});
    cases.push_back(std::move(c));
  }
  return cases;
}

constexpr Role kFloats[] = {Role::compute, Role::accumulate, Role::f64};

std::string describe(Role from, Role to, std::int64_t gap, Precision p) {
  return fmt::format("{} to {}, gap {}", name_of(dtype_for(from, p)), name_of(dtype_for(to, p)), gap);
}

std::vector<OpCase> copy_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Role from : kFloats)
    for (const Role to : kFloats)
      for (const std::int64_t gap : {0, 5}) {
        OpCase c(describe(from, to, gap, p), p);
        c.gap = gap;
        c.set_op(op::Copy{.from = c.input(from, {9, 37}), .to = c.output(to, {9, 37}, {.units = 0.5})});
        cases.push_back(std::move(c));
      }
  for (const std::int64_t gap : {0, 5}) {
    OpCase c(describe(Role::index, Role::index, gap, p), p);
    c.gap = gap;
    c.set_op(op::Copy{.from = c.input(Role::index, {9, 37}, 100.0), .to = c.updated(Role::index, {9, 37})});
    cases.push_back(std::move(c));
  }
  return cases;
}

std::vector<OpCase> add_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Role from : kFloats)
    for (const Role to : kFloats)
      for (const std::int64_t gap : {0, 5}) {
        OpCase c(describe(from, to, gap, p), p);
        c.gap = gap;
        c.set_op(op::Add{.x = c.input(from, {3, 5, 11}), .y = c.updated(to, {3, 5, 11}, {.units = 0.5})});
        cases.push_back(std::move(c));
      }
  return cases;
}

}  // namespace

std::vector<OpCases> memory_ops() {
  return {{op::Zero::kName, zero_cases}, {op::Copy::kName, copy_cases}, {op::Add::kName, add_cases}};
}

}  // namespace headwater::testing
